// The small networks of the first two chapters: plain loops over plain arrays, so that every number can be shown. The
// library's answer stands beside them (`lossAndGradients` in the worker).

export type Vec = number[];
export type Mat = number[][];

/** Numbers that are the same each time: mulberry32. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

export function normal(draw: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
}

const matrix = (rows: number, columns: number, value: () => number): Mat =>
  Array.from({ length: rows }, () => Array.from({ length: columns }, value));

export const times = (m: Mat, x: Vec): Vec => m.map((row) => row.reduce((sum, w, i) => sum + w * x[i]!, 0));
export const transposed = (m: Mat, x: Vec): Vec => m[0]!.map((_, i) => m.reduce((sum, row, k) => sum + row[i]! * x[k]!, 0));
export const plus = (...vectors: Vec[]): Vec => vectors[0]!.map((_, i) => vectors.reduce((sum, v) => sum + v[i]!, 0));
export const oneHot = (at: number, size: number): Vec => Array.from({ length: size }, (_, i) => (i === at ? 1 : 0));

export function softmax(y: Vec): Vec {
  const most = Math.max(...y);
  const e = y.map((x) => Math.exp(x - most));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / sum);
}

/** `h = tanh(W_hh h + W_xh x + b)` once or twice, one above the other, then `y = W_hy h + b`. */
export interface Deep {
  letters: string[];
  layers: { Wx: Mat; Wh: Mat; b: Vec }[];
  Wy: Mat;
  by: Vec;
}

export interface Moment {
  x: Vec;
  /** Of each layer: what it reads, its parts and its state. */
  layers: { input: Vec; before: Vec; fromInput: Vec; fromState: Vec; h: Vec }[];
  y: Vec;
  p: Vec;
}

export function deep(letters: string[], hidden: number, layers: number, seed: number): Deep {
  const draw = random(seed);
  const value = (fan: number) => () => normal(draw) / Math.sqrt(fan);
  return {
    letters,
    layers: Array.from({ length: layers }, (_, l) => {
      const inputs = l === 0 ? letters.length : hidden;
      return { Wx: matrix(hidden, inputs, value(2)), Wh: matrix(hidden, hidden, value(hidden)), b: Array(hidden).fill(0) };
    }),
    Wy: matrix(letters.length, hidden, value(hidden)),
    by: Array(letters.length).fill(0),
  };
}

export function step(net: Deep, letter: number, states: Vec[]): Moment {
  const x = oneHot(letter, net.letters.length);
  let input = x;
  const layers = net.layers.map(({ Wx, Wh, b }, l) => {
    const before = states[l]!;
    const fromInput = times(Wx, input);
    const fromState = times(Wh, before);
    const h = plus(fromInput, fromState, b).map(Math.tanh);
    const part = { input, before, fromInput, fromState, h };
    input = h;
    return part;
  });
  const y = plus(times(net.Wy, input), net.by);
  return { x, layers, y, p: softmax(y) };
}

/** Trains on a few letters, over and over, with Adagrad, until it knows them. */
export function learn(net: Deep, word: string, updates: number): void {
  const tokens = [...word].map((c) => net.letters.indexOf(c));
  const all = [...net.layers.flatMap((l) => [l.Wx, l.Wh, [l.b]]), net.Wy, [net.by]];
  const memory = all.map((m) => m.map((row) => row.map(() => 0)));
  for (let update = 0; update < updates; update++) {
    const grads = all.map((m) => m.map((row) => row.map(() => 0)));
    let states = net.layers.map((l) => l.b.map(() => 0));
    const moments: Moment[] = [];
    for (let t = 0; t + 1 < tokens.length; t++) {
      const moment = step(net, tokens[t]!, states);
      moments.push(moment);
      states = moment.layers.map((l) => l.h);
    }
    const next = net.layers.map((l) => l.b.map(() => 0));
    for (let t = moments.length - 1; t >= 0; t--) {
      const moment = moments[t]!;
      const dy = moment.p.map((p, i) => p - (i === tokens[t + 1] ? 1 : 0));
      const top = moment.layers[moment.layers.length - 1]!.h;
      const at = 3 * net.layers.length;
      dy.forEach((d, i) => {
        grads[at + 1]![0]![i]! += d;
        top.forEach((v, k) => (grads[at]![i]![k]! += d * v));
      });
      let above = transposed(net.Wy, dy);
      for (let l = net.layers.length - 1; l >= 0; l--) {
        const { input, before, h } = moment.layers[l]!;
        const da = h.map((v, i) => (1 - v * v) * (above[i]! + next[l]![i]!));
        da.forEach((d, i) => {
          grads[3 * l + 2]![0]![i]! += d;
          input.forEach((v, k) => (grads[3 * l]![i]![k]! += d * v));
          before.forEach((v, k) => (grads[3 * l + 1]![i]![k]! += d * v));
        });
        next[l] = transposed(net.layers[l]!.Wh, da);
        above = transposed(net.layers[l]!.Wx, da);
      }
    }
    all.forEach((m, a) =>
      m.forEach((row, i) =>
        row.forEach((_, k) => {
          const g = Math.max(-5, Math.min(5, grads[a]![i]![k]!));
          memory[a]![i]![k]! += g * g;
          row[k]! -= (0.1 * g) / Math.sqrt(memory[a]![i]![k]! + 1e-8);
        }),
      ),
    );
  }
}

/** The network of `lossFun`: its five parameters. */
export interface Params {
  Wxh: Mat;
  Whh: Mat;
  bh: Vec;
  Why: Mat;
  by: Vec;
}

export function params(hidden: number, vocab: number, seed: number): Params {
  const draw = random(seed);
  const value = (fan: number) => () => (0.9 * normal(draw)) / Math.sqrt(fan);
  return {
    Wxh: matrix(hidden, vocab, value(1.5)),
    Whh: matrix(hidden, hidden, value(hidden)),
    bh: Array(hidden).fill(0),
    Why: matrix(vocab, hidden, value(hidden)),
    by: Array(vocab).fill(0),
  };
}

/** The parameters one after another, in the order of `lossAndGradients`. */
export const flat = (p: Params): number[] => [...p.Wxh.flat(), ...p.Whh.flat(), ...p.bh, ...p.Why.flat(), ...p.by];

/** What a line of `lossFun` has just computed. */
export interface Stop {
  /** The line of `LINES`. */
  line: number;
  /** The step; -1 outside of the loops. */
  t: number;
  values: [string, number | Vec | Mat][];
}

/** The code that the chapter shows, and that `run` goes through. */
export const LINES = [
  "lossFun(inputs, targets, hprev):",
  "  for t in 0 .. 7:",
  "    x[t] = one_hot(inputs[t])",
  "    h[t] = tanh(W_xh·x[t] + W_hh·h[t-1] + b_h)",
  "    y[t] = W_hy·h[t] + b_y",
  "    p[t] = softmax(y[t])",
  "    loss += -log(p[t][targets[t]])",
  "  for t in 7 .. 0:",
  "    dy = p[t] - one_hot(targets[t])",
  "    dW_hy += dy ⊗ h[t];  db_y += dy",
  "    dh = W_hyᵀ·dy + dhnext",
  "    da = (1 - h[t]²) * dh",
  "    dW_xh += da ⊗ x[t];  dW_hh += da ⊗ h[t-1];  db_h += da",
  "    dhnext = W_hhᵀ·da",
  "  clip(dW_xh, dW_hh, dW_hy, db_h, db_y, -5, 5)",
  "  return loss, dW_xh, dW_hh, dW_hy, db_h, db_y, h[7]",
] as const;

export interface Run {
  loss: number;
  grads: Params;
  stops: Stop[];
  hs: Vec[];
  /** dL/dh as it arrives at each step from later ones. */
  dhnexts: Vec[];
  clipped: number;
}

const copy = (m: Mat): Mat => m.map((row) => row.slice());

/** `lossFun`, with a note of what each line computed. */
export function lossFun(p: Params, inputs: number[], targets: number[], hprev: Vec, notes = true): Run {
  const V = p.by.length;
  const stops: Stop[] = [];
  const note = (line: number, t: number, ...values: Stop["values"]) => notes && stops.push({ line, t, values });
  const xs: Vec[] = [];
  const hs: Vec[] = [];
  const ps: Vec[] = [];
  let loss = 0;
  note(0, -1, ["h[-1]", hprev]);
  for (let t = 0; t < inputs.length; t++) {
    note(1, t, ["t", t]);
    xs[t] = oneHot(inputs[t]!, V);
    note(2, t, ["x[t]", xs[t]!]);
    const before = t === 0 ? hprev : hs[t - 1]!;
    const [fromX, fromH] = [times(p.Wxh, xs[t]!), times(p.Whh, before)];
    hs[t] = plus(fromX, fromH, p.bh).map(Math.tanh);
    note(3, t, ["W_xh·x[t]", fromX], ["W_hh·h[t-1]", fromH], ["h[t]", hs[t]!]);
    const y = plus(times(p.Why, hs[t]!), p.by);
    note(4, t, ["y[t]", y]);
    ps[t] = softmax(y);
    note(5, t, ["p[t]", ps[t]!]);
    const nats = -Math.log(ps[t]![targets[t]!]!);
    loss += nats;
    note(6, t, ["-log p", nats], ["loss", loss]);
  }
  const zero = (m: Mat): Mat => m.map((row) => row.map(() => 0));
  const d: Params = { Wxh: zero(p.Wxh), Whh: zero(p.Whh), bh: p.bh.map(() => 0), Why: zero(p.Why), by: p.by.map(() => 0) };
  const outer = (m: Mat, a: Vec, b: Vec) => a.forEach((x, i) => b.forEach((y, k) => (m[i]![k]! += x * y)));
  const add = (a: Vec, b: Vec) => b.forEach((x, i) => (a[i]! += x));
  let dhnext: Vec = hprev.map(() => 0);
  const dhnexts: Vec[] = [];
  for (let t = inputs.length - 1; t >= 0; t--) {
    note(7, t, ["t", t], ["dhnext", dhnext]);
    dhnexts[t] = dhnext;
    const dy = ps[t]!.map((x, i) => x - (i === targets[t] ? 1 : 0));
    note(8, t, ["dy", dy]);
    outer(d.Why, dy, hs[t]!);
    add(d.by, dy);
    note(9, t, ["dW_hy", copy(d.Why)]);
    const fromY = transposed(p.Why, dy);
    const dh = plus(fromY, dhnext);
    note(10, t, ["W_hyᵀ·dy", fromY], ["dhnext", dhnext], ["dh", dh]);
    const da = dh.map((x, i) => (1 - hs[t]![i]! ** 2) * x);
    note(11, t, ["1 - h²", hs[t]!.map((x) => 1 - x * x)], ["da", da]);
    outer(d.Wxh, da, xs[t]!);
    outer(d.Whh, da, t === 0 ? hprev : hs[t - 1]!);
    add(d.bh, da);
    note(12, t, ["dW_hh", copy(d.Whh)], ["dW_xh", copy(d.Wxh)]);
    dhnext = transposed(p.Whh, da);
    note(13, t, ["dhnext", dhnext]);
  }
  let clipped = 0;
  const clip = (x: number) => {
    if (Math.abs(x) > 5) clipped++;
    return Math.max(-5, Math.min(5, x));
  };
  const c: Params = {
    Wxh: d.Wxh.map((row) => row.map(clip)),
    Whh: d.Whh.map((row) => row.map(clip)),
    bh: d.bh.map(clip),
    Why: d.Why.map((row) => row.map(clip)),
    by: d.by.map(clip),
  };
  note(14, -1, ["dW_hh", c.Whh]);
  note(15, -1, ["loss", loss], ["h[7]", hs[hs.length - 1]!]);
  // Before clipping: the gradient of the loss.
  return { loss, grads: d, stops, hs, dhnexts, clipped };
}

/** How long dL/dh is, `steps` steps back through `W_hh` scaled by `gain`, and the factor of each step. */
export function flow(hidden: number, steps: number, gain: number, seed: number): { norms: number[]; factor: number } {
  const draw = random(seed);
  const W = matrix(hidden, hidden, () => (gain * normal(draw)) / Math.sqrt(hidden));
  const inputs = matrix(steps, hidden, () => 0.4 * normal(draw));
  let hstate: Vec = Array(hidden).fill(0);
  const hs = inputs.map((x) => (hstate = plus(times(W, hstate), x).map(Math.tanh)));
  let dh: Vec = Array.from({ length: hidden }, () => normal(draw));
  const norm = (v: Vec) => Math.hypot(...v);
  const first = norm(dh);
  const norms = [1];
  for (let t = steps - 1; t > 0; t--) {
    dh = transposed(W, dh.map((x, i) => (1 - hs[t]![i]! ** 2) * x));
    norms.push(norm(dh) / first);
  }
  const last = norms[norms.length - 1]!;
  return { norms, factor: Math.pow(last, 1 / (steps - 1)) };
}
