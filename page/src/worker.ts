// What runs beside the page: the networks, in WebAssembly. One worker trains, another answers questions, so that neither
// waits for the other and the page never waits at all.

import { unpacked } from "./packed";
import { hasSimd } from "./simd";
// Made by page/build from crates/elman-wasm.
import * as wasm from "../build-wasm/elman_wasm.js";

type Message = { id: number; call: string; args: unknown[] };

let training: wasm.Training | null = null;
const readers = new Map<string, wasm.Reader>();
const tasks = new Map<string, wasm.TaskModel>();
let running = false;
/** Updates that may still be made; a single one for a step by hand. */
let allowed = Infinity;
let totals = { loss: 0, updates: 0, characters: 0, seconds: 0 };
let perUpdate = 0;
const next = new MessageChannel();

function begin(code: string, path: string): string {
  if (!hasSimd()) throw new Error("this browser lacks WebAssembly with SIMD; any of 2023 or later has it");
  wasm.initSync({ module: unpacked(code) as BufferSource });
  if (path === "plain") wasm.choose_plain();
  return wasm.isa();
}

/** Whether the WebAssembly itself has ended; the page then begins another worker. */
function broken(error: unknown): boolean {
  const ended = error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
  if (ended) postMessage({ event: "broken", message: `this took more memory than a page has (${String(error.message)})` });
  return ended;
}

const options = (value: unknown): string => JSON.stringify(value);

function started(live: wasm.Training, o: { batch?: number; seq_len?: number }): unknown {
  training?.free();
  training = live;
  running = false;
  totals = { loss: 0, updates: 0, characters: 0, seconds: 0 };
  perUpdate = (o.batch ?? 16) * (o.seq_len ?? 48);
  return JSON.parse(live.info());
}

/** Updates for a moment, then whatever the page has asked meanwhile. */
next.port1.onmessage = () => {
  if (!running || !training) return;
  const began = performance.now();
  const span = { loss: 0, updates: 0, norm: 0 };
  try {
    do {
      const [loss = NaN, norm = NaN] = training.update();
      span.loss += loss;
      span.norm = norm;
      span.updates++;
      allowed--;
    } while (allowed > 0 && performance.now() - began < 40);
  } catch (error) {
    running = false;
    if (!broken(error)) postMessage({ event: "stopped", message: String(error instanceof Error ? error.message : error) });
    return;
  }
  const seconds = (performance.now() - began) / 1000;
  totals.updates += span.updates;
  totals.characters += span.updates * perUpdate;
  totals.seconds += seconds;
  postMessage({
    event: "progress",
    updates: totals.updates,
    loss: span.loss / span.updates,
    norm: span.norm,
    characters: totals.characters,
    seconds: totals.seconds,
    epochs: JSON.parse(training.info()).epochs,
  });
  if (allowed <= 0) running = false;
  else next.port2.postMessage(null);
};

const reader = (name: string): wasm.Reader => {
  const found = readers.get(name);
  if (!found) throw new Error(`there is no model called ${name}`);
  return found;
};
const task = (name: string): wasm.TaskModel => {
  const found = tasks.get(name);
  if (!found) throw new Error(`there is no model called ${name}`);
  return found;
};

const text = async (from: string | Blob): Promise<string> => (typeof from === "string" ? from : await from.text());

// eslint-disable-next-line @typescript-eslint/no-explicit-any
const calls: Record<string, (...args: any[]) => unknown> = {
  begin,
  async train(from: string | Blob, o: object) {
    return started(new wasm.Training(await text(from), options(o)), o);
  },
  async trainFrom(from: string | Blob, name: string, bytes: Uint8Array, o: object) {
    return started(wasm.Training.fromModel(await text(from), name, bytes, options(o)), o);
  },
  run(updates: number) {
    if (!training) throw new Error("there is no network yet");
    allowed = updates > 0 ? updates : Infinity;
    if (!running) {
      running = true;
      next.port2.postMessage(null);
    }
  },
  /** Updates at once: for comparisons. */
  updates: (many: number) => Array.from({ length: many }, () => training?.update()[0]),
  pause() {
    running = false;
  },
  rate: (lr: number) => training?.setRate(lr),
  sample: (prompt: string, length: number, temperature: number, topP: number, seed: number) =>
    training?.sample(prompt, length, temperature, topP, seed) ?? "",
  validate: (limit: number) => training?.validate(limit),
  ngrams: (orders: number, limit: number) => training?.ngrams(orders, limit),
  save: () => training?.save(),
  fingerprint: () => training?.fingerprint(),
  lossAndGradients: (...args: Parameters<typeof wasm.lossAndGradients>) => wasm.lossAndGradients(...args),
  open(name: string, file: string, bytes: Uint8Array) {
    const opened = new wasm.Reader(file, bytes);
    readers.get(name)?.free();
    readers.set(name, opened);
    return JSON.parse(opened.info());
  },
  async read(name: string, from: string | Blob, longest: number) {
    const all = await text(from);
    const cut = all.length > longest ? all.slice(0, longest) : all;
    const r = reader(name);
    const skipped = r.begin(cut);
    return { text: r.text(), skipped, cut: all.length - cut.length };
  },
  advance: (name: string, count: number) => reader(name).advance(count),
  look(name: string, neuron: number, from: number, to: number) {
    const r = reader(name);
    return {
      levels: r.neuron(neuron, from, to),
      costs: r.costs(from, to),
      letters: r.guessedCharacters(from, to),
      shares: r.guessedProbabilities(from, to),
      nats: r.nats(),
    };
  },
  neuron: (name: string, neuron: number, from: number, to: number) => reader(name).neuron(neuron, from, to),
  states: (name: string, from: number, to: number) => reader(name).states(from, to),
  following: (name: string) => JSON.parse(reader(name).following()),
  followingText: (name: string, query: string) => JSON.parse(reader(name).followingText(query, 12)),
  similar: (name: string, at: number) => JSON.parse(reader(name).similar(at, 6)),
  influences: (name: string, at: number, window: number) => reader(name).influences(at, window),
  gates: (name: string, from: number, to: number, layer: number) => JSON.parse(reader(name).gates(from, to, layer)),
  write: (name: string, prompt: string, length: number, temperature: number, topP: number, seed: number) =>
    reader(name).sample(prompt, length, temperature, topP, seed),
  openTask(name: string, packed: string) {
    if (!tasks.has(name)) tasks.set(name, new wasm.TaskModel(name, unpacked(packed)));
    return task(name).task();
  },
  unpack: (packed: string) => unpacked(packed),
  ofText: (name: string, input: string) => JSON.parse(task(name).ofText(input)),
  ofTable: (name: string, table: string) => JSON.parse(task(name).ofTable(table)),
  ofFeatures: (name: string, positions: number, values: Float32Array) =>
    JSON.parse(task(name).ofFeatures(positions, values)),
  ofImage: (name: string, pixels: Uint8Array, height: number, width: number) =>
    JSON.parse(task(name).ofImage(pixels, height, width)),
  beginStream: (name: string) => task(name).begin(),
  stream(name: string, line: string) {
    const began = performance.now();
    const found = JSON.parse(task(name).step(line));
    return { found, ms: performance.now() - began };
  },
};

onmessage = async ({ data }: MessageEvent<Message>) => {
  try {
    const call = calls[data.call];
    if (!call) throw new Error(`there is no call ${data.call}`);
    postMessage({ id: data.id, value: await call(...data.args) });
  } catch (error) {
    if (!broken(error)) postMessage({ id: data.id, error: String(error instanceof Error ? error.message : error) });
  }
};
