// What chapters are made of: a heading, equations beside the code they are about, tables of numbers.

import { h, number, svg, tint } from "./dom";
import { equations } from "./math";
import type { Mat, Vec } from "./rnn";
import { t } from "./text";

/** A chapter with its lead, its equations and its lines of code. */
export function chapter(
  id: string,
  count: number,
  title: string,
  lead: string,
  lines: string[],
  code: string,
): { root: HTMLElement; formulas: HTMLElement } {
  const formulas = equations(lines);
  const listing = h("pre", { class: "code", tabindex: 0, role: "group", "aria-label": t().code }, h("code", {}, code));
  const root = h(
    "section",
    { id, class: "chapter", "aria-labelledby": `${id}-title` },
    h("h2", { id: `${id}-title` }, h("span", { class: "count", "aria-hidden": true }, String(count)), title),
    h("p", { class: "lead", html: lead }),
    h("div", { class: "about" }, formulas, h("div", {}, h("p", { class: "caption" }, t().code), listing)),
  );
  return { root, formulas };
}

/** A part of the page that is wider than a phone and is scrolled, by keys too. */
export const scroll = (label: string, ...children: Node[]): HTMLElement =>
  h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": label }, ...children);

export interface Look {
  rows?: string[];
  columns?: string[];
  /** A column or row that stands out. */
  column?: number;
  row?: number;
  /** The greatest magnitude that is told apart. */
  most?: number;
  /** Cells that can be chosen. */
  choose?: (row: number, column: number) => void;
  chosen?: [number, number];
  digits?: number;
}

/** A matrix with every number visible. */
export function grid(caption: string, matrix: Mat, look: Look = {}): HTMLElement {
  const most = look.most ?? Math.max(1, ...matrix.flat().map(Math.abs));
  const table = h("table", { class: "numbers" }, h("caption", {}, caption));
  if (look.columns) {
    const head = h("tr", {}, look.rows ? h("td") : null);
    look.columns.forEach((label, k) =>
      head.append(h("th", { scope: "col", class: k === look.column ? "picked" : "" }, label)),
    );
    table.append(head);
  }
  matrix.forEach((row, i) => {
    const line = h("tr", { class: i === look.row ? "picked" : "" });
    if (look.rows) line.append(h("th", { scope: "row" }, look.rows[i] ?? ""));
    row.forEach((value, k) => {
      const picked = k === look.column ? "picked" : "";
      const cell = h("td", { class: picked, style: `background:${tint(value / most)}` });
      const text = number(value, look.digits ?? 2);
      if (look.choose) {
        const chosen = look.chosen?.[0] === i && look.chosen[1] === k;
        const choose = look.choose;
        cell.append(
          h("button", { type: "button", class: "cell", "aria-pressed": chosen, onclick: () => choose(i, k) }, text),
        );
      } else cell.textContent = text;
      line.append(cell);
    });
    table.append(line);
  });
  return table;
}

/** A vector, standing. */
export const column = (caption: string, values: Vec, look: Look = {}): HTMLElement =>
  grid(caption, values.map((value) => [value]), look);

/** A vector, lying. */
export const line = (caption: string, values: Vec, look: Look = {}): HTMLElement => grid(caption, [values], look);

export const sign = (text: string): HTMLElement => h("span", { class: "sign", "aria-hidden": true }, text);

/** A drawing of a function: axes with few marks, lines and points. */
export interface Plot {
  label: string;
  x: [number, number];
  y: [number, number];
  /** Labels at places of an axis. */
  xMarks: [number, string][];
  yMarks: [number, string][];
  xName: string;
  lines: { points: [number, number][]; class: string }[];
  dots?: { at: [number, number]; class: string; title?: string }[];
}

export function plot(p: Plot): SVGElement {
  // Drawn at its own size, so that its words are as large as others.
  const [width, height] = [Math.min(560, document.documentElement.clientWidth - 34), 240];
  const [left, right, top, bottom] = [48, 10, 10, 40];
  const x = (v: number) => left + ((v - p.x[0]) / (p.x[1] - p.x[0])) * (width - left - right);
  const y = (v: number) => height - bottom - ((v - p.y[0]) / (p.y[1] - p.y[0])) * (height - top - bottom);
  const inside = ([a, b]: [number, number]) => a >= p.x[0] && a <= p.x[1] && b >= p.y[0] - 1e-9 && b <= p.y[1] + 1e-9;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": p.label, class: "plot", width });
  for (const [at, text] of p.yMarks)
    root.append(
      svg("line", { x1: left, x2: width - right, y1: y(at), y2: y(at), class: "rule" }),
      svg("text", { x: left - 6, y: y(at) + 4, "text-anchor": "end" }, text),
    );
  for (const [at, text] of p.xMarks)
    root.append(svg("text", { x: x(at), y: height - bottom + 16, "text-anchor": "middle" }, text));
  root.append(svg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, p.xName));
  for (const { points, class: kind } of p.lines) {
    // Lines that leave the field are cut at its edge, point by point.
    let path = "";
    let open = false;
    for (const point of points) {
      if (inside(point)) {
        path += `${open ? "L" : "M"}${x(point[0]).toFixed(1)} ${y(point[1]).toFixed(1)}`;
        open = true;
      } else open = false;
    }
    root.append(svg("path", { d: path, class: `line ${kind}` }));
  }
  for (const { at, class: kind, title } of p.dots ?? []) {
    const dot = svg("circle", { cx: x(at[0]), cy: y(at[1]), r: 4, class: kind });
    if (title) dot.append(svg("title", {}, title));
    root.append(dot);
  }
  return root;
}

/** Goes through positions by itself, until stopped. */
export class Player {
  private timer = 0;
  constructor(
    private readonly advance: () => boolean,
    private readonly every: number,
    private readonly shown: (playing: boolean) => void,
  ) {}
  get playing(): boolean {
    return this.timer !== 0;
  }
  toggle(): void {
    if (this.playing) return this.stop();
    this.timer = window.setInterval(() => {
      if (!this.advance()) this.stop();
    }, this.every);
    this.shown(true);
  }
  stop(): void {
    window.clearInterval(this.timer);
    this.timer = 0;
    this.shown(false);
  }
}
