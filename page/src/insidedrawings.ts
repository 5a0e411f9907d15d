// The state along a text as a heat map; how often gates are shut or open.

import { h, ink, svg } from "./dom";
import { t } from "./text";

/** Levels `[T, H]` from -127 to 127: a row for each neuron. */
export function heatmap(levels: Int8Array, width: number, label: string, choose: (at: number, neuron: number) => void): HTMLCanvasElement {
  const steps = Math.floor(levels.length / width);
  const canvas = h("canvas", { width: steps, height: width, class: "heatmap", role: "img", "aria-label": label });
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(Math.max(1, steps), width);
  const [low, high, ground] = [ink("--low"), ink("--high"), ink("--ground")];
  for (let at = 0; at < steps; at++)
    for (let n = 0; n < width; n++) {
      const level = levels[at * width + n]! / 127;
      const colour = level < 0 ? low : high;
      const share = Math.abs(level);
      const pixel = 4 * (n * steps + at);
      for (let c = 0; c < 3; c++) image.data[pixel + c] = ground[c]! + (colour[c]! - ground[c]!) * share;
      image.data[pixel + 3] = 255;
    }
  context.putImageData(image, 0, 0);
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const part = (value: number, size: number) => Math.max(0, Math.min(size - 1, Math.floor(value * size)));
    choose(part((event.clientX - box.left) / box.width, steps), part((event.clientY - box.top) / box.height, width));
  });
  return canvas;
}

export interface Gate {
  name: string;
  values: number[];
}

/** For each gate a dot for each unit: how often it is nearly shut, how often nearly open. */
export function gatePanels(gates: Gate[], hidden: number, layer: string): HTMLElement {
  const names = t().insideGateNames as Record<string, string>;
  const panels = gates
    // Candidates are values, not gates.
    .filter(({ name }) => name !== "n" && name !== "g")
    .map(({ name, values }) => {
      const steps = Math.max(1, values.length / hidden);
      const [side, margin] = [180, 34];
      const at = (share: number) => share * (side - margin - 8);
      const dots: SVGElement[] = [];
      let [shutAll, openAll] = [0, 0];
      for (let unit = 0; unit < hidden; unit++) {
        let [shut, open] = [0, 0];
        for (let step = 0; step < steps; step++) {
          const value = values[step * hidden + unit]!;
          if (value < 0.1) shut++;
          if (value > 0.9) open++;
        }
        shutAll += shut;
        openAll += open;
        dots.push(svg("circle", { cx: margin + at(shut / steps), cy: side - margin - at(open / steps), r: 3, class: "unit" }));
      }
      const all = steps * hidden;
      const text = `${names[name] ?? name}: ${t().insideShut} ${Math.round((100 * shutAll) / all)} %, ${t().insideOpen} ${Math.round((100 * openAll) / all)} %`;
      return h(
        "figure",
        {},
        svg(
          "svg",
          { viewBox: `0 0 ${side} ${side}`, class: "gate", role: "img", "aria-label": text },
          svg("path", { d: `M${margin} 8V${side - margin}H${side - 8}L${margin} 8`, class: "rule" }),
          ...dots,
          svg("text", { x: margin, y: side - margin + 16 }, "0"),
          svg("text", { x: side - 8, y: side - margin + 16, "text-anchor": "end" }, "1"),
          svg("text", { x: margin - 6, y: side - margin + 4, "text-anchor": "end" }, "0"),
          svg("text", { x: margin - 6, y: 14, "text-anchor": "end" }, "1"),
        ),
        h("figcaption", {}, `${layer}${names[name] ?? name}`),
      );
    });
  return h("div", { class: "gates" }, ...panels);
}
