// One to many: a scene of shapes, described in words.

import { button, h, select, tint } from "../dom";
import { t } from "../text";
import { latest, percent, picture, Pictured } from "./picture";

const GRID = 4;
const PATCH = 8;
const SIDE = GRID * PATCH;
const ZOOM = 7;
/** As in the scenes that it was trained on (page/models/scenes.py). */
const COLOURS: Record<string, [number, number, number]> = {
  red: [0.9, 0.1, 0.1],
  green: [0.1, 0.8, 0.2],
  blue: [0.1, 0.2, 0.9],
  yellow: [0.9, 0.9, 0.1],
  white: [0.95, 0.95, 0.95],
};
const RADIUS = 3.3;
const FORMS: Record<string, (x: number, y: number) => boolean> = {
  circle: (x, y) => Math.hypot(x, y) <= RADIUS,
  square: (x, y) => Math.max(Math.abs(x), Math.abs(y)) <= 0.85 * RADIUS,
  triangle: (x, y) => y <= 0.8 * RADIUS && Math.abs(x) <= (y + RADIUS) / 1.8,
  cross: (x, y) => Math.max(Math.abs(x), Math.abs(y)) <= RADIUS && Math.min(Math.abs(x), Math.abs(y)) <= 0.4 * RADIUS,
};

const MADE = `python3 page/models/scenes.py                 # 5,000 made scenes: scenes.npy, scenes.tsv
elman train --task caption --features scenes.npy --captions scenes.tsv --cell gru --hidden 48 \\
  --embedding 24 --units word --batch 32 --lr 0.005 --dropout 0 --epochs 12 --out runs/scenes
elman quantize runs/scenes --precision int8 --out scene.safetensors`;

interface Thing {
  colour: string;
  form: string;
  row: number;
  column: number;
}

function pixels(things: Thing[]): Float32Array {
  const image = new Float32Array(SIDE * SIDE * 3);
  for (const { colour, form, row, column } of things)
    for (let i = 0; i < SIDE * SIDE; i++) {
      const x = (i % SIDE) - (column * PATCH + (PATCH - 1) / 2);
      const y = Math.floor(i / SIDE) - (row * PATCH + (PATCH - 1) / 2);
      if (FORMS[form]!(x, y)) image.set(COLOURS[colour]!, 3 * i);
    }
  return image;
}

/** `[16, 200]`: the pixels of each patch, then its row and column unless it is empty. */
function features(image: Float32Array): Float32Array {
  const width = PATCH * PATCH * 3 + 2 * GRID;
  const all = new Float32Array(GRID * GRID * width);
  for (let patch = 0; patch < GRID * GRID; patch++) {
    const [row, column] = [Math.floor(patch / GRID), patch % GRID];
    let lit = 0;
    for (let i = 0; i < PATCH * PATCH; i++) {
      const at = 3 * ((row * PATCH + Math.floor(i / PATCH)) * SIDE + column * PATCH + (i % PATCH));
      for (let c = 0; c < 3; c++) {
        const value = image[at + c]!;
        if (value > 0) lit = 1;
        all[patch * width + 3 * i + c] = value;
      }
    }
    all[patch * width + 3 * PATCH * PATCH + row] = lit;
    all[patch * width + 3 * PATCH * PATCH + GRID + column] = lit;
  }
  return all;
}

export function scene(): HTMLElement {
  const w = t();
  const model = new Pictured("scene");
  const things: [Thing, Thing] = [
    { colour: "red", form: "circle", row: 0, column: 1 },
    { colour: "blue", form: "square", row: 2, column: 1 },
  ];
  let both = true;
  const canvas = h("canvas", { width: SIDE * ZOOM, height: SIDE * ZOOM, class: "scene", role: "img", "aria-label": w.sceneImage });
  const says = h("p", { class: "where", "aria-live": "polite", id: "scene-says" });
  const words = h("div", { class: "looks" });

  const shown = () => (both ? things : things.slice(0, 1));
  const draw = () => {
    const image = pixels(shown());
    const c = canvas.getContext("2d")!;
    c.fillStyle = "#000";
    c.fillRect(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < SIDE * SIDE; i++) {
      const [r = 0, g = 0, b = 0] = Array.from(image.subarray(3 * i, 3 * i + 3), (v) => Math.round(255 * v));
      if (r + g + b === 0) continue;
      c.fillStyle = `rgb(${r},${g},${b})`;
      c.fillRect((i % SIDE) * ZOOM, Math.floor(i / SIDE) * ZOOM, ZOOM, ZOOM);
    }
    c.strokeStyle = "#555";
    for (let n = 1; n < GRID; n++) {
      c.strokeRect(n * PATCH * ZOOM, -1, 0, canvas.height + 2);
      c.strokeRect(-1, n * PATCH * ZOOM, canvas.width + 2, 0);
    }
    ask(features(image));
  };
  const ask = latest<Float32Array>(
    async (of) => {
      const [found] = await model.ask<{ texts: { text: string; words: [string, number[]][] }[] }[]>("ofFeatures", GRID * GRID, of);
      const best = found!.texts[0]!;
      says.replaceChildren(`${w.sceneSays}: `, h("strong", { lang: "en" }, best.text));
      words.replaceChildren(
        ...best.words.map(([word, weights]) => {
          const most = weights.indexOf(Math.max(...weights));
          const label = w.sceneLooks(word.replace("▁", ""), Math.floor(most / GRID) + 1, (most % GRID) + 1, percent(weights[most] ?? 0));
          return h(
            "figure",
            { title: label },
            h(
              "div",
              { class: "fields", role: "img", "aria-label": label },
              ...weights.map((weight) => h("span", { style: `background:${tint(weight)}` })),
            ),
            h("figcaption", { lang: "en" }, word.replace("▁", "").trim() || w.numbersEnd),
          );
        }),
      );
    },
    (error) => (says.textContent = `${w.failed} ${error.message}`),
  );
  const entries = (words: Record<string, string>): [string, string][] => Object.entries(words);
  const places: [string, string][] = [0, 1, 2, 3].map((n) => [String(n), String(n + 1)]);
  const controls = (n: 0 | 1) => {
    const thing = things[n];
    const set = <K extends keyof Thing>(key: K, value: Thing[K]) => {
      thing[key] = value;
      draw();
    };
    return [
      select(w.sceneForm, entries(w.sceneForms), thing.form, (v) => set("form", v)),
      select(w.sceneColour, entries(w.sceneColours), thing.colour, (v) => set("colour", v)),
      select(w.sceneRow, places, String(thing.row), (v) => set("row", Number(v))),
      select(w.sceneColumn, places, String(thing.column), (v) => set("column", Number(v))),
    ];
  };
  const [one, two] = [controls(0), controls(1)];
  const second = h("input", { type: "checkbox", id: "scene-two", checked: true, onchange: () => {
    both = second.checked;
    for (const { select } of two) select.disabled = !both;
    draw();
  } });
  const random = () => {
    const pick = <T>(from: T[]): T => from[Math.floor(Math.random() * from.length)]!;
    const first = Math.floor(Math.random() * (GRID * GRID - 1));
    const second = first + 1 + Math.floor(Math.random() * (GRID * GRID - 1 - first));
    things.forEach((thing, n) => {
      const field = n === 0 ? first : second;
      Object.assign(thing, { colour: pick(Object.keys(COLOURS)), form: pick(Object.keys(FORMS)), row: Math.floor(field / GRID), column: field % GRID });
      const [form, colour, row, column] = (n === 0 ? one : two).map((c) => c.select);
      [form!.value, colour!.value, row!.value, column!.value] = [thing.form, thing.colour, String(thing.row), String(thing.column)];
    });
    draw();
  };
  const root = picture(
    "scene",
    w.sceneTitle,
    w.sceneAbout,
    { inputs: [0], states: 4, outputs: [0, 1, 2, 3] },
    MADE,
    h(
      "div",
      { class: "beside" },
      canvas,
      h(
        "div",
        {},
        h("fieldset", {}, h("legend", {}, w.sceneFirst), ...one.map((c) => c.root)),
        h("fieldset", {}, h("legend", {}, second, h("label", { for: "scene-two" }, w.sceneSecond)), ...two.map((c) => c.root)),
        h("div", { class: "buttons" }, button(w.sceneRandom, random)),
      ),
    ),
    says,
    words,
  );
  draw();
  return root;
}
