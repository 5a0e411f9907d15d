// What the five pictures share: their boxes and arrows, their model, the command that made it.

import { h, svg } from "../dom";
import { asking, part } from "../rpc";
import { t } from "../text";

/** Which steps have an input and which an output. */
export interface Shape {
  inputs: number[];
  states: number;
  outputs: number[];
}

function diagram({ inputs, states, outputs }: Shape, label: string): SVGElement {
  const [box, gap] = [14, 12];
  const x = (n: number) => 4 + n * (box + gap);
  const width = x(states - 1) + box + 4;
  const root = svg("svg", { viewBox: `0 0 ${width} 86`, width, height: 86, class: "diagram", role: "img", "aria-label": label });
  const arrow = (x1: number, y1: number, x2: number, y2: number) => svg("path", { d: `M${x1} ${y1}L${x2} ${y2}`, class: "arrow" });
  for (let n = 0; n < states; n++) {
    root.append(svg("rect", { x: x(n), y: 36, width: box, height: box, class: "state" }));
    if (n > 0) root.append(arrow(x(n - 1) + box, 43, x(n) - 2, 43));
  }
  for (const n of inputs) root.append(svg("rect", { x: x(n), y: 68, width: box, height: box, class: "in" }), arrow(x(n) + 7, 68, x(n) + 7, 53));
  for (const n of outputs) root.append(svg("rect", { x: x(n), y: 4, width: box, height: box, class: "out" }), arrow(x(n) + 7, 36, x(n) + 7, 21));
  return root;
}

/** A picture's frame; `made` is the command under it. */
export function picture(id: string, title: string, about: string, shape: Shape, made: string, ...children: (Node | string)[]): HTMLElement {
  return h(
    "section",
    { id, class: "picture", "aria-labelledby": `${id}-title` },
    h("div", { class: "head" }, h("h3", { id: `${id}-title` }, title), diagram(shape, title)),
    h("p", {}, about),
    ...children,
    h("details", {}, h("summary", {}, t().pictureMade), h("pre", { class: "code", tabindex: 0 }, h("code", {}, made))),
  );
}

/** Asks a model of the page, which is opened when it is first needed. */
export class Pictured {
  private opened: Promise<unknown> | null = null;
  constructor(private readonly name: string) {}
  async ask<T>(call: string, ...args: unknown[]): Promise<T> {
    this.opened ??= asking().call("openTask", this.name, part(`model-${this.name}`));
    await this.opened;
    return asking().call<T>(call, this.name, ...args);
  }
}

/** Only the latest of many questions is asked, when the one before is answered. */
export function latest<T>(ask: (value: T) => Promise<void>, failed: (error: Error) => void): (value: T) => void {
  let next: { value: T } | null = null;
  let running = false;
  return (value) => {
    next = { value };
    if (running) return;
    running = true;
    void (async () => {
      while (next) {
        const { value } = next;
        next = null;
        try {
          await ask(value);
        } catch (error) {
          failed(error as Error);
        }
      }
      running = false;
    })();
  };
}

export const percent = (p: number): string => (100 * p).toFixed(p > 0.995 || p < 0.005 ? 1 : 0);

/** A canvas that is drawn on with a pen, a finger or the mouse. */
export function pad(
  label: string,
  side: [number, number],
  on: { begin?: () => void; move: (x: number, y: number, began: boolean) => void; end?: () => void },
): HTMLCanvasElement {
  const canvas = h("canvas", { width: side[0], height: side[1], class: "pad", role: "img", "aria-label": label });
  let down = false;
  const at = (event: PointerEvent, began: boolean) => {
    const box = canvas.getBoundingClientRect();
    on.move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.width, began);
  };
  canvas.addEventListener("pointerdown", (event) => {
    down = true;
    canvas.setPointerCapture(event.pointerId);
    on.begin?.();
    at(event, true);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (down) for (const part of event.getCoalescedEvents?.() ?? [event]) at(part, false);
  });
  const end = () => {
    if (down) on.end?.();
    down = false;
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  return canvas;
}
