// A network in training on the reader's text.

import { LossChart } from "../chart";
import { button, h, id, moves, number, select, slider } from "../dom";
import { hand, isModel, opener, save, size } from "../files";
import { equations } from "../math";
import { chapter } from "../parts";
import { story, training, type Progress, type Stopped } from "../rpc";
import { language, t } from "../text";

/** Longer texts are not put into the field. */
const SHOWN = 1_000_000;
const LONGEST = 200_000_000;
const ORDERS = 4;
/** Letters of held-out text that are measured as training goes. */
const MEASURED = 4096;

const CODE = `// lossFun, for a whole batch
let loss = engine.loss_and_grad(network, &params, &batch);
let scale = clip::scale_for_norm(norm, 1.0);
optimizer.update(&mut params, engine.grads(), lr, scale);`;

const EQUATIONS: Record<string, string[]> = {
  "rnn-tanh": ["h_t = tanh ( W_xh x_t + W_hh h_t−1 + b )"],
  gru: [
    "r_t = σ ( W_xr x_t + W_hr h_t−1 + b_r )",
    "z_t = σ ( W_xz x_t + W_hz h_t−1 + b_z )",
    "n_t = tanh ( W_xn x_t + b_n + r_t ∘ ( W_hn h_t−1 + b_hn ) )",
    "h_t = ( 1 − z_t ) ∘ n_t + z_t ∘ h_t−1",
  ],
  lstm: [
    "i_t , f_t , o_t = σ ( W_x x_t + W_h h_t−1 + b )",
    "g_t = tanh ( W_xg x_t + W_hg h_t−1 + b_g )",
    "c_t = f_t ∘ c_t−1 + i_t ∘ g_t",
    "h_t = o_t ∘ tanh ( c_t )",
  ],
};

interface Info {
  cell: string;
  layers: number;
  hidden: number;
  weights: number;
  vocabulary: number;
}

export function trainChapter(): HTMLElement {
  const w = t();
  const { root, formulas } = chapter("train", 3, w.trainTitle, w.trainLead, EQUATIONS.gru!, CODE);
  const texts: Record<string, string> = { docs: story("en"), poems: story("ko") };
  const options = { cell: "gru", hidden: 128, layers: 1, seq_len: 48, lr: 0.005, seed: 1 };
  let source: string | Blob = texts[language() === "ko" ? "poems" : "docs"]!;
  let info: Info | null = null;
  let running = false;
  let updates = 0;
  let temperature = 0.8;
  let kept = 0;
  /** Times and counts of the last seconds: for the speed. */
  let recent: [number, number][] = [];
  let sampled = 0;
  let measured = 0;
  let busy = false;

  const area = h("textarea", { id: id(), rows: 7, spellcheck: "false", class: "text" });
  area.value = source as string;
  const note = h("p", { class: "note", "aria-live": "polite" });
  const status = h("p", { class: "where", id: "train-status", "aria-live": "polite" }, w.trainIdle);
  const fact = (name: string) => {
    const value = h("dd", {}, "–");
    return { root: h("div", {}, h("dt", {}, name), value), value };
  };
  const facts = {
    updates: fact(w.trainUpdates),
    loss: fact(w.trainLoss),
    held: fact(w.trainHeld),
    speed: fact(w.trainSpeed),
    passes: fact(w.trainPasses),
    weights: fact(w.trainWeights),
  };
  facts.speed.value.id = "train-speed";
  facts.updates.value.id = "train-updates";
  const chart = new LossChart({ title: w.trainChart, training: w.trainCurve, held: w.trainVal });
  const key = h("ul", { class: "key" });
  const sampleHead = h("p", { class: "caption" });
  const sample = h("pre", { class: "sample", id: "train-sample", tabindex: 0, role: "group", "aria-label": w.trainSample });
  const earlier = h("div", { class: "earlier" });

  const say = (message: string) => (status.textContent = message);
  const guarded = async (what: () => Promise<void>) => {
    try {
      await what();
    } catch (error) {
      running = false;
      show();
      say(`${w.failed} ${(error as Error).message}`);
    }
  };

  const show = () => {
    const begun = info !== null;
    go.textContent = running ? w.pause : begun ? w.trainOn : w.trainGo;
    for (const control of locked) control.disabled = begun;
    area.readOnly = begun;
    anew.disabled = !begun;
    keep.disabled = !begun;
    look.disabled = !begun;
    say(running ? w.trainRunning : begun ? w.trainPaused : w.trainIdle);
  };
  const began = (network: Info) => {
    info = network;
    [updates, kept, recent, sampled, measured] = [0, 0, [], 0, 0];
    facts.weights.value.textContent = network.weights.toLocaleString("en");
    earlier.replaceChildren();
    chart.clear([]);
    show();
    return write();
  };
  const begin = async () => {
    const text = typeof source === "string" ? area.value : source;
    if (typeof text === "string" && text.trim() === "") throw new Error(w.trainEmpty);
    await began(await training().call<Info>("train", text, options));
    await count();
  };
  const count = async () => {
    const nats = await training().call<Float64Array>("ngrams", ORDERS, 20_000);
    const levels = Array.from(nats, (value, n) => ({ name: w.trainGram(n + 1), nats: value }));
    chart.setLevels(levels);
    key.replaceChildren(
      h("li", { class: "high" }, w.trainCurve),
      h("li", { class: "accent" }, w.trainVal),
      ...levels.map(({ name, nats }) => h("li", { class: "dashed" }, `${name}: ${nats.toFixed(2)}`)),
    );
  };
  const run = async (many: number) => {
    if (!info) await begin();
    running = many === 0;
    recent = [];
    show();
    await training().call("run", many);
  };
  const pause = async () => {
    running = false;
    await training().call("pause");
    show();
    await write();
  };
  const write = async () => {
    if (busy || !info) return;
    busy = true;
    try {
      const at = updates;
      const text = await training().call<string>("sample", "", 320, temperature, 1, 7);
      sampleHead.textContent = at === 0 ? w.trainBefore : w.trainAfter(at.toLocaleString("en"));
      sample.textContent = text;
      // Of earlier ones one at each doubling stays.
      if (at === 0 || at >= 2 * kept) {
        kept = Math.max(at, 16);
        earlier.prepend(h("div", {}, h("p", { class: "caption" }, sampleHead.textContent), h("p", { class: "written" }, text.slice(0, 110))));
      }
      sampled = performance.now();
    } finally {
      busy = false;
    }
  };
  const measure = async () => {
    measured = performance.now();
    const nats = await training().call<number>("validate", MEASURED);
    facts.held.value.textContent = nats.toFixed(3);
    chart.addHeld(nats);
  };

  let drawn = 0;
  const progress = (p: Progress) => {
    updates = p.updates;
    const now = performance.now();
    recent.push([now, p.characters]);
    while (recent.length > 2 && now - recent[0]![0] > 3000) recent.shift();
    if (!running || now - drawn > (moves() ? 120 : 500)) {
      drawn = now;
      facts.updates.value.textContent = p.updates.toLocaleString("en");
      facts.loss.value.textContent = p.loss.toFixed(3);
      facts.passes.value.textContent = p.epochs.toFixed(1);
      const [since, letters] = recent[0]!;
      if (now > since) {
        const speed = ((p.characters - letters) / (now - since)) * 1000;
        facts.speed.value.textContent = Math.round(speed).toLocaleString("en");
      }
      chart.add(p.updates, p.loss);
    }
    if (now - sampled > 1200) void guarded(write);
    if (running && now - measured > 4000) void guarded(measure);
    if (!running) void guarded(write);
  };
  training().onevent = (event: Progress | Stopped) => {
    if (event.event === "progress") progress(event);
    else {
      running = false;
      show();
      say(`${w.trainStopped} ${event.message}`);
    }
  };

  const startOver = () =>
    guarded(async () => {
      if (running) await pause();
      info = null;
      sample.textContent = "";
      sampleHead.textContent = "";
      note.textContent = "";
      for (const { value } of Object.values(facts)) value.textContent = "–";
      earlier.replaceChildren();
      key.replaceChildren();
      chart.clear([]);
      show();
    });

  const take = (file: File) =>
    guarded(async () => {
      try {
        if (await isModel(file)) {
          const bytes = new Uint8Array(await file.arrayBuffer());
          const text = typeof source === "string" ? area.value : source;
          const network = await training().call<Info>("trainFrom", text, file.name, bytes, options);
          running = false;
          await began(network);
          note.textContent = w.trainLoaded(file.name, network.cell, network.hidden, network.layers);
          await count();
        } else if (file.size > LONGEST) throw new Error(size(file.size));
        else {
          if (info) await startOver();
          if (file.size > SHOWN) {
            source = file;
            area.value = "";
            area.disabled = true;
            note.textContent = w.trainBig(file.name, size(file.size));
          } else {
            source = area.value = await file.text();
            area.disabled = false;
            note.textContent = "";
          }
          builtin.select.value = "own";
        }
      } catch (error) {
        note.textContent = w.trainRefused(file.name, (error as Error).message);
      }
    });

  const builtin = select(w.trainBuiltin, Object.entries(w.trainTexts), language() === "ko" ? "poems" : "docs", (name) => {
    area.disabled = false;
    note.textContent = "";
    source = area.value = texts[name] ?? "";
    if (name === "own") area.focus();
  });
  area.addEventListener("input", () => {
    builtin.select.value = "own";
    source = area.value;
  });
  const cell = select(w.trainCell, Object.entries(w.trainCells), options.cell, (value) => {
    options.cell = value;
    const lines = equations(EQUATIONS[value]!);
    formulas.replaceChildren(...lines.childNodes);
  });
  const numeric = (label: string, range: [number, number, number, number], key: "hidden" | "layers" | "seq_len" | "seed") =>
    slider(label, range, String, (value) => (options[key] = value));
  const units = numeric(w.trainUnits, [16, 256, 16, options.hidden], "hidden");
  const layers = numeric(w.trainLayers, [1, 3, 1, options.layers], "layers");
  const length = numeric(w.trainLength, [8, 128, 8, options.seq_len], "seq_len");
  const seed = numeric(w.trainSeed, [1, 20, 1, options.seed], "seed");
  // A rate is felt by its order of magnitude.
  const rate = slider(w.trainRate, [-4, -1, 0.05, Math.log10(options.lr)], (v) => (10 ** v).toPrecision(2), (v) => {
    options.lr = 10 ** v;
    if (info) void guarded(async () => void (await training().call("rate", options.lr)));
  });
  const heat = slider(w.trainTemperature, [0.1, 1.5, 0.05, temperature], (v) => number(v), (v) => {
    temperature = v;
    if (!running) void guarded(write);
  });
  const go = button(w.trainGo, () => void guarded(() => (running ? pause() : run(0))), { class: "main", id: "train-go" });
  const one = button(w.trainOne, () => void guarded(async () => {
    if (running) await pause();
    await run(1);
  }));
  const anew = button(w.trainNew, () => void startOver());
  const keep = button(w.trainSave, () => void guarded(async () => {
    const bytes = await training().call<Uint8Array>("save");
    save(bytes, "model.safetensors");
    note.textContent = w.trainSaved(size(bytes.length));
  }), { id: "train-save" });
  const look = button(w.trainLook, () => void guarded(async () => {
    const bytes = await training().call<Uint8Array>("save");
    hand({ bytes, text: typeof source === "string" ? area.value : await source.slice(0, SHOWN).text() });
  }));
  const locked: (HTMLInputElement | HTMLSelectElement)[] = [builtin.select, cell.select, units.input, layers.input, length.input, seed.input];
  const open = opener(w.trainFile, ".txt,.md,.safetensors,text/*", root, (file) => void take(file));

  root.append(
    h("div", { class: "panel wide" }, builtin.root, open),
    h("div", { class: "control stacked" }, h("label", { for: area.id }, w.trainText), area),
    note,
    h("p", { class: "note" }, w.trainDrop),
    h("div", { class: "panel" }, cell.root, units.root, layers.root, length.root, rate.root, seed.root),
    h("div", { class: "buttons" }, go, one, anew, keep, look),
    status,
    h("dl", { class: "facts" }, ...Object.values(facts).map((f) => f.root)),
    chart.root,
    key,
    h("p", { class: "note" }, w.trainGrams),
    h("h3", {}, w.trainSample),
    h("div", { class: "panel" }, heat.root),
    sampleHead,
    sample,
    earlier,
  );
  document.addEventListener("theme", () => chart.build());
  chart.clear([]);
  show();
  return root;
}
