// lossFun, line by line; whether its gradient is right; why gradients vanish and explode.

import { button, h, number, select, slider, visible } from "../dom";
import { chapter, grid, line, Player, plot, scroll } from "../parts";
import { flat, flow, lossFun, LINES, params, type Mat, type Run, type Vec } from "../rnn";
import { asking } from "../rpc";
import { t } from "../text";

const TEXT = "hello elm";
const HIDDEN = 4;
const letters = [...new Set(TEXT)].sort();
const tokens = [...TEXT].map((c) => letters.indexOf(c));
const inputs = tokens.slice(0, -1);
const targets = tokens.slice(1);
const hprev = Array<number>(HIDDEN).fill(0);
/** Of the difference quotient. */
const STEP = 1e-5;
const REACH = 2.5;

const CODE = `loss, gradients, h = lossFun(inputs, targets, h)
for W, dW, mem in zip(weights, gradients, memories):
  mem += dW * dW
  W -= rate * dW / sqrt(mem + 1e-8)      # Adagrad`;

const exponent = (value: number): string => {
  const [digits = "0", power = "0"] = value.toExponential(0).split("e");
  return `${digits}·10${[...power.replace("+", "")].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("")}`;
};

export function lossChapter(): HTMLElement {
  const w = t();
  const { root } = chapter(
    "loss",
    2,
    w.lossTitle,
    w.lossLead,
    [
      "L = Σ_t − log p_t [ target_t ]",
      "∂L/∂y_t = p_t − 1_target",
      "∂L/∂h_t = W_hy^⊤ ∂L/∂y_t + W_hh^⊤ ( 1 − h_t+1^2 ) ∘ ∂L/∂h_t+1",
    ],
    CODE,
  );
  const net = params(HIDDEN, letters.length, 11);
  let run: Run = lossFun(net, inputs, targets, hprev);
  let at = 4;

  const list = h("ol", { class: "listing" });
  const items = LINES.map((text) => h("li", {}, h("code", {}, text)));
  list.append(...items);
  const where = h("p", { class: "where", "aria-live": "polite" });
  const values = h("div", { class: "values" });

  const show = (name: string, value: number | Vec | Mat): HTMLElement => {
    if (typeof value === "number") return h("p", { class: "scalar" }, `${name} = ${name === "t" ? value : number(value, 4)}`);
    const overVocab = (length: number) => (length === letters.length ? letters.map(visible) : undefined);
    if (!Array.isArray(value[0])) return line(name, value as Vec, { columns: overVocab(value.length) });
    return grid(name, value as Mat, { columns: overVocab((value as Mat)[0]!.length) });
  };
  const draw = () => {
    const stop = run.stops[at]!;
    items.forEach((item, i) => item.classList.toggle("now", i === stop.line));
    const outside = stop.t < 0;
    where.textContent = `${w.lossLine(at + 1, run.stops.length)} · ${
      outside ? w.lossOutside : w.lossStep(stop.t, visible(TEXT[stop.t]!), visible(TEXT[stop.t + 1]!))
    }`;
    values.replaceChildren(...stop.values.map(([name, value]) => show(name, value)));
    if (position.input.valueAsNumber !== at) position.set(at);
  };
  const go = (to: number): boolean => {
    if (to < 0 || to >= run.stops.length) return false;
    at = to;
    draw();
    return true;
  };
  const player = new Player(() => go(at + 1), 800, (playing) => (play.textContent = playing ? w.pause : w.play));
  const play = button(w.play, () => player.toggle());
  const position = slider(w.lossPosition, [0, run.stops.length - 1, 1, at], (v) => String(v + 1), go);

  // Is the gradient right?
  let [i, k] = [1, 2];
  const curve = h("div", { class: "drawing" });
  const facts = h("dl", { class: "facts" });
  const agree = h("p", { class: "note", "aria-live": "polite" });
  const lossAt = (value: number): number => {
    const before = net.Whh[i]![k]!;
    net.Whh[i]![k] = value;
    const { loss } = lossFun(net, inputs, targets, hprev, false);
    net.Whh[i]![k] = before;
    return loss;
  };
  let asked = 0;
  const compare = async () => {
    const mine = ++asked;
    try {
      const all = await asking().call<Float64Array>(
        "lossAndGradients", HIDDEN, letters.length, new Float32Array(flat(net)), new Uint32Array(inputs), new Uint32Array(targets), new Float32Array(hprev),
      );
      if (mine !== asked) return;
      const own = [run.loss, ...flat(run.grads)];
      const gap = own.reduce((most, value, n) => Math.max(most, Math.abs(value - all[n]!)), 0);
      const place = 1 + HIDDEN * letters.length + i * HIDDEN + k;
      library.textContent = number(all[place]!, 5);
      agree.textContent = w.lossAgree(exponent(Math.max(gap, 1e-16)));
    } catch (error) {
      agree.textContent = `${w.failed} ${(error as Error).message}`;
    }
  };
  const library = h("dd", { id: "loss-library" }, "…");
  const fact = (name: string, value: string | HTMLElement, id?: string) =>
    h("div", {}, h("dt", {}, name), typeof value === "string" ? h("dd", { id }, value) : value);
  const weigh = () => {
    run = lossFun(net, inputs, targets, hprev);
    draw();
    const value = net.Whh[i]![k]!;
    const exact = run.grads.Whh[i]![k]!;
    const numeric = (lossAt(value + STEP) - lossAt(value - STEP)) / (2 * STEP);
    const points: [number, number][] = [];
    for (let x = -REACH; x <= REACH + 1e-9; x += REACH / 60) points.push([x, lossAt(x)]);
    const losses = points.map(([, y]) => y);
    const [low, high] = [Math.min(...losses), Math.max(...losses)];
    const margin = 0.15 * (high - low) + 0.05;
    const tangent: [number, number][] = points.map(([x]) => [x, run.loss + exact * (x - value)]);
    curve.replaceChildren(
      plot({
        label: `${w.lossCurve}: ${w.lossValue} ${number(value)}, ${w.lossLoss} ${number(run.loss, 3)}, ${w.lossExact} ${number(exact, 3)}`,
        x: [-REACH, REACH],
        y: [low - margin, high + margin],
        xMarks: [-2, -1, 0, 1, 2].map((x) => [x, number(x, 0)]),
        yMarks: [low, (low + high) / 2, high].map((y) => [y, number(y)]),
        xName: w.lossWeightOf(i + 1, k + 1),
        lines: [
          { points, class: "strong" },
          { points: tangent, class: "tangent" },
        ],
        dots: [{ at: [value, run.loss], class: "dot" }],
      }),
    );
    facts.replaceChildren(
      fact(w.lossValue, number(value, 3)),
      fact(w.lossLoss, number(run.loss, 6)),
      fact(w.lossExact, number(exact, 6), "loss-exact"),
      fact(w.lossNumeric, number(numeric, 6), "loss-numeric"),
      fact(w.lossLibrary, library),
    );
    void compare();
  };
  const weights: [string, string][] = net.Whh.flatMap((row, r) => row.map((_, c): [string, string] => [`${r},${c}`, w.lossWeightOf(r + 1, c + 1)]));
  const choice = select(w.lossWeight, weights, `${i},${k}`, (value) => {
    [i, k] = value.split(",").map(Number) as [number, number];
    drag.set(net.Whh[i]![k]!);
    weigh();
  });
  const drag = slider(w.lossValue, [-REACH, REACH, 0.01, net.Whh[i]![k]!], (v) => number(v), (value) => {
    net.Whh[i]![k] = value;
    weigh();
  });

  // Why gradients vanish and explode.
  const flowing = h("div", { class: "drawing" });
  const verdict = h("p", { class: "note", "aria-live": "polite" });
  const BACK = 60;
  const pour = (gain: number) => {
    const { norms, factor } = flow(32, BACK + 1, gain, 5);
    const points = norms.map((norm, n): [number, number] => [n, Math.log10(Math.max(norm, 1e-30))]);
    const last = norms[norms.length - 1]!;
    const text = last < 1e-3 ? w.lossFlowVanish : last > 1e3 ? w.lossFlowExplode : w.lossFlowFine;
    flowing.replaceChildren(
      plot({
        label: `${w.lossFlowChart}: ${w.lossFlowFactor(number(factor))}`,
        x: [0, BACK],
        y: [-12, 12],
        xMarks: [0, 20, 40, 60].map((x) => [x, String(x)]),
        yMarks: [-12, -6, 0, 6, 12].map((y) => [y, y === 0 ? "1" : exponent(10 ** y).replace("1·", "")]),
        xName: w.lossFlowBack,
        lines: [{ points, class: last > 1e3 ? "high" : last < 1e-3 ? "low" : "strong" }],
      }),
    );
    verdict.textContent = `${w.lossFlowFactor(number(factor))}. ${text}`;
  };
  const gain = slider(w.lossGain, [0.2, 3, 0.05, 0.8], (v) => number(v), pour);

  root.append(
    h("p", { html: w.lossAbout }),
    h(
      "div",
      { class: "panel" },
      position.root,
      h("div", { class: "buttons" }, button(w.back, () => go(at - 1)), button(w.forward, () => go(at + 1), { class: "main" }), play),
    ),
    where,
    h("div", { class: "beside" }, scroll("lossFun", list), scroll(w.lossValues, values)),
    h("h3", {}, w.lossWeightTitle),
    h("p", { html: w.lossWeightAbout }),
    h("div", { class: "panel" }, choice.root, drag.root),
    h("div", { class: "beside" }, curve, facts),
    agree,
    h("h3", {}, w.lossFlowTitle),
    h("p", { html: w.lossFlowAbout }),
    h("div", { class: "panel" }, gain.root),
    flowing,
    verdict,
  );
  weigh();
  pour(0.8);
  return root;
}
