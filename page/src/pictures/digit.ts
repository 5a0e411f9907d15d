// One to one: a drawn digit.

import { button, h, ink } from "../dom";
import { t } from "../text";
import { latest, pad, percent, picture, Pictured } from "./picture";

const SIDE = 280;
const PEN = 22;

const MADE = `elman train mnist/ --task classify --convs 8,12 --dense 32 --max-steps 3000 --out runs/digits
elman quantize runs/digits --precision int8 --out digit.safetensors
# 97.3 % of the validation digits are right; MNIST: Y. LeCun, C. Cortes, C. Burges, CC BY-SA 3.0`;

type Point = [number, number];
const arc = (x: number, y: number, rx: number, ry: number, from: number, to: number): Point[] =>
  Array.from({ length: 25 }, (_, n) => {
    const a = ((from + ((to - from) * n) / 24) * Math.PI) / 180;
    return [x + rx * Math.cos(a), y + ry * Math.sin(a)];
  });
/** Strokes of digits, for those who cannot draw here. */
const EXAMPLES: Point[][][] = [
  [arc(0.5, 0.5, 0.2, 0.3, -90, 270)],
  [[[0.42, 0.28], [0.54, 0.2], [0.52, 0.8]]],
  [[...arc(0.5, 0.36, 0.19, 0.16, 190, 390), [0.32, 0.78], [0.72, 0.78]]],
  [[...arc(0.48, 0.35, 0.17, 0.15, 200, 440), ...arc(0.48, 0.64, 0.19, 0.16, -90, 150)]],
  [[[0.42, 0.2], [0.3, 0.55], [0.7, 0.55]], [[0.62, 0.25], [0.58, 0.82]]],
  [[[0.68, 0.2], [0.4, 0.2], [0.37, 0.46], ...arc(0.47, 0.62, 0.19, 0.18, -110, 140)]],
  [[[0.6, 0.18], [0.4, 0.45], ...arc(0.5, 0.63, 0.16, 0.16, 190, 550)]],
  [[[0.3, 0.22], [0.7, 0.22], [0.46, 0.8]]],
  [[...arc(0.5, 0.35, 0.14, 0.15, 90, 450), ...arc(0.5, 0.66, 0.17, 0.16, -90, 270)]],
  [[...arc(0.5, 0.37, 0.16, 0.16, 0, 360), [0.66, 0.37], [0.62, 0.8]]],
];

/** As MNIST's digits were made: 20 pixels the longer side, centred by mass in 28 x 28. */
function shrunk(strokes: Point[][]): Uint8Array | null {
  const points = strokes.flat();
  if (points.length === 0) return null;
  const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1])];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const pen = PEN / SIDE;
  const scale = 20 / (Math.max(right - left, bottom - top) + pen);
  const paint = (dx: number, dy: number): Uint8ClampedArray => {
    const canvas = new OffscreenCanvas(28, 28);
    const c = canvas.getContext("2d")!;
    [c.lineCap, c.lineJoin, c.lineWidth, c.strokeStyle, c.fillStyle] = ["round", "round", Math.max(2, pen * scale), "#fff", "#fff"];
    const x = (p: Point) => 14 + dx + (p[0] - (left + right) / 2) * scale;
    const y = (p: Point) => 14 + dy + (p[1] - (top + bottom) / 2) * scale;
    for (const stroke of strokes) {
      c.beginPath();
      c.moveTo(x(stroke[0]!), y(stroke[0]!));
      for (const p of stroke) c.lineTo(x(p) + 0.01, y(p));
      c.stroke();
    }
    return c.getImageData(0, 0, 28, 28).data;
  };
  const grey = (data: Uint8ClampedArray) => Uint8Array.from({ length: 784 }, (_, i) => Math.round((data[4 * i]! * data[4 * i + 3]!) / 255));
  const first = grey(paint(0, 0));
  const mass = first.reduce((sum, v) => sum + v, 0) || 1;
  const middle = (of: (i: number) => number) => first.reduce((sum, v, i) => sum + v * of(i), 0) / mass;
  return grey(paint(13.5 - middle((i) => i % 28), 13.5 - middle((i) => Math.floor(i / 28))));
}

export function digit(): HTMLElement {
  const w = t();
  const model = new Pictured("digit");
  let strokes: Point[][] = [];
  let example = 0;
  const says = h("p", { class: "where", "aria-live": "polite", id: "digit-says" }, w.fixedNothing);
  const bars = Array.from({ length: 10 }, (_, n) => {
    const [fill, value] = [h("span", { class: "fill" }), h("span", { class: "value" }, "")];
    return { root: h("div", { class: "bar" }, h("span", { class: "letter" }, String(n)), h("span", { class: "track" }, fill), value), fill, value };
  });
  const draw = () => {
    const c = canvas.getContext("2d")!;
    c.clearRect(0, 0, SIDE, SIDE);
    [c.lineCap, c.lineJoin, c.lineWidth, c.strokeStyle] = ["round", "round", PEN, `rgb(${ink("--ink").join(",")})`];
    for (const stroke of strokes) {
      c.beginPath();
      c.moveTo(stroke[0]![0] * SIDE, stroke[0]![1] * SIDE);
      for (const [x, y] of stroke) c.lineTo(x * SIDE + 0.01, y * SIDE);
      c.stroke();
    }
  };
  const ask = latest<Point[][]>(
    async (drawn) => {
      const pixels = shrunk(drawn);
      if (!pixels) return;
      const [found] = await model.ask<{ probabilities: number[]; labels: string[] }[]>("ofImage", pixels, 28, 28);
      const { probabilities, labels } = found!;
      bars.forEach(({ fill, value }, n) => {
        const p = probabilities[labels.indexOf(String(n))] ?? 0;
        fill.style.width = `${(100 * p).toFixed(1)}%`;
        value.textContent = `${Math.round(100 * p)} %`;
      });
      const best = probabilities.indexOf(Math.max(...probabilities));
      if (strokes.length > 0) says.textContent = w.fixedIs(labels[best]!, percent(probabilities[best]!));
    },
    (error) => (says.textContent = `${w.failed} ${error.message}`),
  );
  const canvas = pad(w.fixedField, [SIDE, SIDE], {
    move: (x, y, began) => {
      if (began) strokes.push([]);
      strokes[strokes.length - 1]!.push([x, y]);
      draw();
      ask(strokes);
    },
  });
  const clear = () => {
    strokes = [];
    draw();
    says.textContent = w.fixedNothing;
    for (const { fill, value } of bars) [fill.style.width, value.textContent] = ["0", ""];
  };
  const show = () => {
    strokes = EXAMPLES[(example = (example + 3) % 10)]!.map((stroke) => stroke.slice());
    draw();
    ask(strokes);
  };
  document.addEventListener("theme", draw);
  return picture(
    "digit",
    w.fixedTitle,
    w.fixedAbout,
    { inputs: [0], states: 1, outputs: [0] },
    MADE,
    h("div", { class: "beside" }, h("div", {}, canvas, h("div", { class: "buttons" }, button(w.fixedExample, show), button(w.fixedClear, clear))), h("div", { class: "bars" }, ...bars.map((b) => b.root))),
    says,
  );
}
