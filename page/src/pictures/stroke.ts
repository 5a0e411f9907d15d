// Many to many, at once: a stroke, labelled while it is drawn.

import { button, h, ink, moves } from "../dom";
import { t } from "../text";
import { pad, percent, picture, Pictured } from "./picture";

const WIDTH = 600;
const HEIGHT = 360;
/** Points a second, as in the data that it was trained on. */
const RATE = 30;
const COLOURS: Record<string, string> = { still: "--faint", line: "--low", circle: "--high", zigzag: "--green" };

const MADE = `python3 page/models/strokes.py > strokes.csv      # 700 made strokes
elman train strokes.csv --task classify-frames --sequence-column stroke --label-column label \\
  --hidden 48 --lookahead 8 --max-steps 600 --out runs/strokes
elman quantize runs/strokes --precision int8 --out stroke.safetensors
# 94.1 % of the points of held-out strokes are right`;

type Point = [number, number];

/** A line, a circle and a zigzag without lifting the pen. */
function example(): Point[] {
  const points: Point[] = [];
  for (let n = 0; n < 40; n++) points.push([0.08 + 0.008 * n, 0.45 - 0.004 * n]);
  for (let n = 0; n < 60; n++) {
    const a = (n * 2 * Math.PI) / 30 - Math.PI / 2;
    points.push([0.4 + 0.1 * Math.cos(a), 0.39 + 0.1 * Math.sin(a)]);
  }
  const [x, y] = points[points.length - 1]!;
  for (let n = 1; n <= 60; n++) {
    const phase = n % 12;
    points.push([x + 0.008 * n, y + 0.03 * (phase < 6 ? phase : 12 - phase)]);
  }
  return points;
}

export function stroke(): HTMLElement {
  const w = t();
  const model = new Pictured("stroke");
  let points: Point[] = [];
  let labels: string[] = [];
  let lifted = new Set<number>();
  let now: Point | null = null;
  let timer = 0;
  let queue: Promise<void> = Promise.resolve();
  let begun = false;
  let [spent, asked] = [0, 0];
  const says = h("p", { class: "where", "aria-live": "off", id: "stroke-says" }, w.strokeNothing);
  const timing = h("p", { class: "note" });
  const key = h("ul", { class: "key" }, ...Object.entries(COLOURS).map(([name]) => h("li", { class: `kind ${name}` }, w.strokeLabels[name]!)));

  const draw = () => {
    const c = canvas.getContext("2d")!;
    c.clearRect(0, 0, WIDTH, HEIGHT);
    [c.lineCap, c.lineJoin, c.lineWidth] = ["round", "round", 5];
    for (let n = 1; n < points.length; n++) {
      if (lifted.has(n)) continue;
      c.strokeStyle = `rgb(${ink(COLOURS[labels[n] ?? ""] ?? "--line").join(",")})`;
      c.beginPath();
      c.moveTo(points[n - 1]![0] * WIDTH, points[n - 1]![1] * WIDTH);
      c.lineTo(points[n]![0] * WIDTH, points[n]![1] * WIDTH);
      c.stroke();
    }
  };
  const add = (point: Point, lift = false) => {
    const before = points[points.length - 1];
    const [dx, dy] = before && !lift ? [point[0] - before[0], point[1] - before[1]] : [0, 0];
    if (lift) lifted.add(points.length);
    points.push(point);
    const line = `${(1000 * dx).toFixed(1)},${(1000 * dy).toFixed(1)}`;
    const mine = points;
    queue = queue.then(async () => {
      try {
        if (!begun) await model.ask("beginStream");
        begun = true;
        const { found, ms } = await model.ask<{ found: [number, string, number] | null; ms: number }>("stream", line);
        if (mine !== points) return;
        // Clocks of pages are coarse: a mean over the stroke.
        spent += ms;
        timing.textContent = w.strokePerStep(Math.round((1000 * spent) / ++asked).toLocaleString("en"));
        if (found) {
          labels[found[0]] = found[1];
          says.textContent = w.strokeNow(w.strokeLabels[found[1]] ?? found[1], percent(found[2]));
        }
        draw();
      } catch (error) {
        says.textContent = `${w.failed} ${(error as Error).message}`;
      }
    });
    draw();
  };
  const clear = () => {
    stop();
    [points, labels, lifted] = [[], [], new Set()];
    begun = false;
    [spent, asked] = [0, 0];
    says.textContent = w.strokeNothing;
    timing.textContent = "";
    draw();
  };
  const stop = () => {
    window.clearInterval(timer);
    timer = 0;
    says.setAttribute("aria-live", "polite");
  };
  const canvas = pad(w.strokeField, [WIDTH, HEIGHT], {
    move: (x, y, began) => {
      // Both in widths of the field.
      now = [x, (y * HEIGHT) / WIDTH];
      if (!began) return;
      stop();
      says.setAttribute("aria-live", "off");
      add(now, points.length > 0);
      timer = window.setInterval(() => now && add(now), 1000 / RATE);
    },
    end: stop,
  });
  const show = () => {
    clear();
    const all = example();
    let n = 0;
    if (!moves()) return all.forEach((point) => add(point));
    timer = window.setInterval(() => {
      if (n >= all.length) return stop();
      add(all[n++]!);
    }, 1000 / RATE);
  };
  document.addEventListener("theme", draw);
  return picture(
    "stroke",
    w.strokeTitle,
    w.strokeAbout,
    { inputs: [0, 1, 2, 3], states: 4, outputs: [0, 1, 2, 3] },
    MADE,
    canvas,
    h("div", { class: "buttons" }, button(w.strokeExample, show), button(w.fixedClear, clear)),
    key,
    says,
    timing,
  );
}
