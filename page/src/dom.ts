// Elements, and the few controls that every chapter uses.

type Child = Node | string | null | undefined | false;
type Props = Record<string, unknown>;

/** An element: `on..` properties are listeners, `html` its content, others attributes. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value as EventListener);
    else if (name === "html") element.innerHTML = value as string;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...(children.filter((child) => child != null && child !== false) as (Node | string)[]));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An element of a drawing. */
export function svg(tag: string, props: Props = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) if (value != null) element.setAttribute(name, String(value));
  element.append(...(children.filter((child) => child != null && child !== false) as (Node | string)[]));
  return element;
}

export function button(label: string, onclick: () => void, props: Props = {}): HTMLButtonElement {
  return h("button", { type: "button", onclick, ...props }, label);
}

let ids = 0;
export const id = (): string => `e${++ids}`;

/** A labelled slider; the value is shown as `format` says. */
export function slider(
  label: string,
  [min, max, step, value]: [number, number, number, number],
  format: (value: number) => string,
  oninput: (value: number) => void,
): { root: HTMLElement; set: (value: number) => void; input: HTMLInputElement } {
  const name = id();
  const output = h("output", { for: name }, format(value));
  const input = h("input", { type: "range", id: name, min, max, step, value });
  const show = () => {
    output.textContent = format(input.valueAsNumber);
    input.setAttribute("aria-valuetext", format(input.valueAsNumber));
  };
  input.addEventListener("input", () => {
    show();
    oninput(input.valueAsNumber);
  });
  show();
  const set = (value: number) => {
    input.valueAsNumber = value;
    show();
  };
  return { root: h("div", { class: "control" }, h("label", { for: name }, label), input, output), set, input };
}

export function select(
  label: string,
  options: [string, string][],
  value: string,
  onchange: (value: string) => void,
): { root: HTMLElement; select: HTMLSelectElement } {
  const name = id();
  const element = h("select", { id: name, onchange: () => onchange(element.value) });
  for (const [key, text] of options) element.append(h("option", { value: key, selected: key === value }, text));
  return { root: h("div", { class: "control" }, h("label", { for: name }, label), element), select: element };
}

/** The colour of a value from -1 to 1: blue below 0, orange above, the ground at 0. */
export function tint(value: number): string {
  const share = Math.min(1, Math.abs(value));
  // `--deep`: as strong as letters on it can be read.
  return share < 0.02 ? "transparent" : `rgba(var(${value < 0 ? "--low" : "--high"}),calc(${share.toFixed(3)}*var(--deep)))`;
}

/** A colour of the page as three numbers, for canvases. */
export function ink(name: string): [number, number, number] {
  const parts = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  if (parts.startsWith("#")) {
    const value = parseInt(parts.slice(1), 16);
    return [value >> 16, (value >> 8) & 255, value & 255];
  }
  const [r = 0, g = 0, b = 0] = parts.split(",").map(Number);
  return [r, g, b];
}

/** A blank, a line end and so on, visible. */
export const visible = (c: string): string => (c === "\n" ? "↵" : c === " " ? "␣" : c === "\t" ? "⇥" : c);

export const number = (value: number, digits = 2): string => {
  const text = Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
};

/** Whether motion is welcome. */
export const moves = (): boolean => !matchMedia("(prefers-reduced-motion: reduce)").matches;
