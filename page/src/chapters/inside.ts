// What goes on in a model along a text.

import { button, h, id, number, select, slider, tint, visible } from "../dom";
import { handed, isModel, opener } from "../files";
import { gatePanels, heatmap, type Gate } from "../insidedrawings";
import { chapter, scroll } from "../parts";
import { asking, part, story } from "../rpc";
import { given } from "../given";
import { t } from "../text";
import { TextView } from "../textview";

const LONGEST = 1_000_000;
const PAGE = 1500;
/** With guesses below each, fewer letters are a page. */
const PAGE_GUESSES = 500;
/** Letters that are read before the page is told how far it is. */
const READ = 8000;
const WINDOW = 200;
/** Letters of the heat map and of the gates. */
const DRAWN = 200;

const CODE = `// a colour: one number of the state after each letter
let levels = recording.neuron(k, 0..n);
// which number follows quotes, the line's length, ..
let r = recording.correlations(&feature);
// how much each letter before mattered: |dL/dx|
let lengths = influence.of(&letters[..t], letters[t])?;`;

interface Info {
  cell: string;
  layers: number;
  hidden: number;
}
interface Looked {
  levels: Int8Array;
  costs: Float32Array;
  letters: string;
  shares: Float32Array;
  nats: number;
}
type Mode = "neuron" | "surprise" | "gradient" | "compare";

export function insideChapter(): HTMLElement {
  const w = t();
  const { root } = chapter(
    "inside",
    4,
    w.insideTitle,
    w.insideLead,
    ["g_s = ∥ ∂L_t/∂x_s ∥ , s < t", "L_t = − log p_t [ x_t+1 ]"],
    CODE,
  );
  const code = story("code");
  const models = new Map<string, { label: string; file: string; bytes: () => Promise<Uint8Array>; text?: string }>();
  models.set("shipped", {
    label: w.insideShipped,
    file: "inside.safetensors",
    bytes: () => asking().call<Uint8Array>("unpack", part("model-inside")),
    text: code,
  });
  const show = given();
  if (show?.task === "language-model")
    models.set("given", { label: w.insideGiven(show.name), file: show.name, bytes: () => asking().call("unpack", part("given-model")), text: show.text || undefined });

  let info: Info = { cell: "gru", layers: 1, hidden: 1 };
  let letters: string[] = [];
  let [read, from, neuron] = [0, 0, 0];
  let mode: Mode = "neuron";
  let looked: Looked | null = null;
  let other: Float32Array | null = null;
  /** Of the gradient: the letter, and its lengths. */
  let moved: { at: number; lengths: Float32Array; most: number } | null = null;
  /** Work that was begun before the last change is dropped. */
  let turn = 0;
  let name = models.has("given") ? "given" : "shipped";

  const described = id();
  const view = new TextView(w.insideTextLabel, described);
  const letterNote = h("p", { class: "where", id: described, "aria-live": "polite" }, w.insideHint);
  const expects = h("p", { class: "expects" });
  const status = h("p", { class: "note", id: "inside-status", "aria-live": "polite" });
  const note = h("p", { class: "note", "aria-live": "polite" });
  const pageNote = h("span", { class: "pages" });
  const gradientNote = h("p", { class: "note" });
  const similar = h("ol", { class: "similar" });
  const states = h("div");
  const gates = h("div");
  const text = h("textarea", { id: id(), rows: 4, class: "text", spellcheck: "false" });

  const guarded = async (what: () => Promise<void>) => {
    try {
      await what();
    } catch (error) {
      note.textContent = `${w.failed} ${(error as Error).message}`;
    }
  };
  const width = () => info.hidden * info.layers;
  const size = () => (guessed.checked ? PAGE_GUESSES : PAGE);

  const paint = () => {
    const costs = looked?.costs;
    view.paint((n) => {
      if (!looked) return "";
      if (mode === "neuron") return tint(looked.levels[n]! / 127);
      if (mode === "surprise") return tint(costs![n]! / 6);
      if (mode === "gradient") {
        if (!moved) return "";
        const back = moved.at - (from + n);
        if (back === 0) return "rgba(var(--low),0.6)";
        const length = moved.lengths[moved.lengths.length - back];
        return length === undefined ? "" : tint(length / moved.most);
      }
      return other ? tint((other[n]! - costs![n]!) / 2) : "";
    });
  };
  const draw = async (mine = turn) => {
    const to = Math.min(from + size(), read);
    if (to <= from) return;
    const found = await asking().call<Looked>("look", "a", neuron, from, to);
    other = mode === "compare" && second.select.value !== "none" ? await compared(from, to) : null;
    if (mine !== turn) return;
    looked = found;
    view.show(letters.slice(from, to), from, guessed.checked ? { letters: [...found.letters], shares: found.shares } : undefined);
    paint();
    const n = (value: number) => value.toLocaleString("en");
    pageNote.textContent = w.insidePage(n(from + 1), n(to), n(letters.length));
    status.textContent = `${w.insideReading(n(read), n(letters.length))}. ${w.insideCost(found.nats.toFixed(3), (found.nats / Math.LN2).toFixed(3))}`;
  };
  const drawings = async (mine = turn) => {
    const to = Math.min(from + DRAWN, read);
    const levels = await asking().call<Int8Array>("states", "a", from, to);
    if (mine !== turn) return;
    states.replaceChildren(
      scroll(
        w.insideStates,
        heatmap(levels, width(), `${w.insideStates} (${width()} × ${to - from})`, (at, n) => {
          setNeuron(n);
          view.point(from + at);
        }),
      ),
    );
    const panels: HTMLElement[] = [];
    for (let layer = 0; layer < info.layers; layer++) {
      const found = await asking().call<Gate[]>("gates", "a", from, Math.min(from + 300, read), layer);
      if (mine !== turn) return;
      if (found.length > 0) panels.push(gatePanels(found, info.hidden, info.layers > 1 ? `${w.insideLayer(layer + 1)}, ` : ""));
    }
    gates.replaceChildren(...(panels.length > 0 ? panels : [h("p", { class: "note" }, w.insideNoGates)]));
  };
  const turnTo = async (to: number) => {
    from = Math.max(0, Math.min(Math.floor(to / size()) * size(), Math.floor((letters.length - 1) / size()) * size()));
    moved = null;
    await draw();
    await drawings();
  };

  const setNeuron = (to: number) => {
    neuron = Math.max(0, Math.min(width() - 1, to));
    chooser.value = String(neuron);
    if (mode !== "neuron") {
      mode = "neuron";
      by.select.value = "neuron";
    }
    void guarded(() => draw());
  };

  /** Reads the text with the model, and shows the first page as soon as it can. */
  const readText = (from_: string | Blob) =>
    guarded(async () => {
      const mine = ++turn;
      const begun = await asking().call<{ text: string; skipped: number; cut: number }>("read", "a", from_, LONGEST);
      if (mine !== turn) return;
      letters = [...begun.text];
      [read, from, moved, looked] = [0, 0, null, null];
      similar.replaceChildren();
      const n = (value: number) => value.toLocaleString("en");
      note.textContent = [begun.skipped > 0 && w.insideSkipped(n(begun.skipped)), begun.cut > 0 && w.insideCut(n(begun.cut))].filter(Boolean).join("; ");
      while (read < letters.length) {
        read = await asking().call<number>("advance", "a", READ);
        if (mine !== turn) return;
        status.textContent = w.insideReading(n(read), n(letters.length));
        if (read <= READ) await draw(mine);
      }
      await follow(mine);
      await draw(mine);
      await drawings(mine);
      if (mine === turn) example();
      if (second.select.value !== "none") await compareWith(second.select.value);
    });
  /** A letter in the middle of something, so that there is something to see. */
  const example = () => {
    const at = Math.min(317, read - 1);
    if (at < 1) return;
    view.point(at);
    view.onchoose(at);
    // The browser compiles again, and better, what has run a few times: before the reader points.
    for (let n = 0; n < 6; n++) void asking().call("influences", "a", at, WINDOW).catch(() => {});
  };
  const follow = async (mine: number) => {
    const found = await asking().call<[string, number, number][]>("following", "a");
    if (mine !== turn) return;
    follows.select.replaceChildren(
      h("option", { value: "" }, "–"),
      ...found.map(([feature, n, r]) =>
        h("option", { value: n }, w.insideFound(w.featureNames[feature] ?? feature, n, number(r))),
      ),
    );
    if (found[0]) {
      neuron = found[0][1];
      chooser.value = String(neuron);
      follows.select.selectedIndex = 1;
    }
  };
  const openModel = async (which: string) => {
    const model = models.get(which)!;
    const bytes = await model.bytes();
    info = await asking().call<Info>("open", "a", model.file, bytes);
    name = which;
    neuron = 0;
    chooser.max = String(width() - 1);
    chooser.value = "0";
    if (model.text !== undefined) text.value = model.text;
    await readText(text.value);
    await write();
  };

  // Pointing at a letter.
  let pending = -1;
  let measuring = false;
  const measure = async () => {
    if (measuring) return;
    measuring = true;
    while (pending > 0) {
      const at = pending;
      pending = -1;
      try {
        const began = performance.now();
        const lengths = await asking().call<Float32Array>("influences", "a", at, WINDOW);
        moved = { at, lengths, most: Math.max(1e-9, ...lengths) };
        gradientNote.textContent = w.insideGradient((performance.now() - began).toFixed(0));
        gradientNote.dataset.ms = String(performance.now() - began);
        paint();
      } catch (error) {
        note.textContent = `${w.failed} ${(error as Error).message}`;
      }
    }
    measuring = false;
  };
  view.onpoint = (at) => {
    if (!looked) return;
    const n = at - from;
    letterNote.textContent = w.insideAt(visible(letters[at]!), number(looked.levels[n]! / 127), number(looked.costs[n]!));
    const guesses = [...looked.letters].slice(5 * n, 5 * n + 5);
    expects.replaceChildren(
      `${w.insideNext}: `,
      ...guesses.map((c, g) => h("span", { class: "guessed" }, h("b", {}, visible(c)), ` ${Math.round(100 * looked!.shares[5 * n + g]!)} %`)),
    );
    if (mode === "gradient") {
      pending = at;
      void measure();
    }
  };
  view.onchoose = (at) =>
    void guarded(async () => {
      const found = await asking().call<[number, number][]>("similar", "a", at);
      const around = (place: number) => [
        letters.slice(Math.max(0, place - 24), place).map(visible).join(""),
        visible(letters[place]!),
        letters.slice(place + 1, place + 14).map(visible).join(""),
      ];
      similar.replaceChildren(
        ...[[at, 1] as [number, number], ...found].map(([place, cosine]) => {
          const [before, here, after] = around(place);
          return h(
            "li",
            {},
            h("button", { type: "button", class: "place", onclick: () => void turnTo(place).then(() => view.point(place)) }, before, h("mark", {}, here), after),
            ` ${cosine.toFixed(2)}`,
          );
        }),
      );
    });
  view.onleave = (to) => {
    if (to < 0 || to >= letters.length) return;
    void turnTo(to).then(() => view.point(Math.min(to, read - 1)));
  };

  // Controls.
  const options = (): [string, string][] => [...models].map(([key, { label }]) => [key, label]);
  const modelChoice = select(w.insideModel, options(), name, (value) => {
    const before = name;
    void guarded(async () => {
      try {
        await openModel(value);
      } catch (error) {
        modelChoice.select.value = before;
        throw error;
      }
    });
  });
  const second = select(w.insideCompare, [["none", w.insideCompareNone], ...options()], "none", (value) => {
    if (value !== "none") {
      mode = "compare";
      by.select.value = "compare";
    } else if (mode === "compare") {
      mode = "neuron";
      by.select.value = mode;
      comparison.textContent = "";
    }
    void guarded(() => compareWith(value));
  });
  const relist = () => {
    for (const [choice, first] of [[modelChoice, []], [second, [["none", w.insideCompareNone]]]] as [typeof second, [string, string][]][]) {
      const value = choice.select.value;
      choice.select.replaceChildren(...[...first, ...options()].map(([key, label]) => h("option", { value: key }, label)));
      choice.select.value = value;
    }
  };
  const comparison = h("p", { class: "note", "aria-live": "polite" });
  const compareWith = async (value: string) => {
    comparison.textContent = "";
    if (value === "none") return draw();
    const mine = turn;
    const model = models.get(value)!;
    await asking().call("open", "b", model.file, await model.bytes());
    const begun = await asking().call<{ text: string }>("read", "b", letters.join(""), LONGEST);
    const all = [...begun.text].length;
    if (all !== letters.length) {
      comparison.textContent = w.insideCompareLength;
      second.select.value = "none";
      return;
    }
    for (let done = 0; done < all && mine === turn; ) done = await asking().call<number>("advance", "b", READ);
    await draw();
  };
  const compared = async (a: number, b: number): Promise<Float32Array> => {
    const found = await asking().call<Looked>("look", "b", 0, a, b);
    comparison.textContent = w.insideCompareAbout((await asking().call<Looked>("look", "a", 0, a, b)).nats.toFixed(3), found.nats.toFixed(3));
    return found.costs;
  };
  const modes: [Mode, string][] = [
    ["neuron", w.insideByNeuron],
    ["surprise", w.insideBySurprise],
    ["gradient", w.insideByGradient],
    ["compare", w.insideByCompare],
  ];
  const by = select(w.insideBy, modes, mode, (value) => {
    mode = value as Mode;
    gradientNote.textContent = "";
    void guarded(() => draw());
  });
  const chooser = h("input", { type: "number", id: id(), min: 0, max: 0, value: 0, onchange: () => setNeuron(chooser.valueAsNumber || 0) });
  const follows = select(w.insideFind, [["", "–"]], "", (value) => value !== "" && setNeuron(Number(value)));
  const query = h("input", { type: "text", id: id(), maxlength: 40, autocomplete: "off", spellcheck: "false" });
  const foundText = h("p", { class: "note", id: "inside-found", "aria-live": "polite" });
  const seek = () =>
    void guarded(async () => {
      const began = performance.now();
      const found = await asking().call<[number, number][]>("followingText", "a", query.value);
      foundText.dataset.ms = String(performance.now() - began);
      const best = found[0];
      foundText.textContent = best ? w.insideFound(`“${query.value}”`, best[0], number(best[1])) : w.insideNothing;
      if (best) setNeuron(best[0]);
    });
  query.addEventListener("keydown", (event) => event.key === "Enter" && seek());
  const guessed = h("input", { type: "checkbox", id: id(), onchange: () => void guarded(() => turnTo(from)) });

  // Writing.
  let [temperature, topP, seed] = [0.7, 0.95, 1];
  const prompt = h("input", { type: "text", id: id(), value: "", maxlength: 200, autocomplete: "off", spellcheck: "false", onchange: () => void guarded(write) });
  const written = h("pre", { class: "sample", id: "inside-written", tabindex: 0, role: "group", "aria-label": w.insideWrite });
  let writing = 0;
  const write = async () => {
    const mine = ++writing;
    const text = await asking().call<string>("write", "a", prompt.value, 300, temperature, topP, seed);
    if (mine === writing) written.textContent = prompt.value + text;
  };
  const heat = slider(w.insideTemperature, [0.05, 1.6, 0.05, temperature], (v) => number(v), (v) => {
    temperature = v;
    void guarded(write);
  });
  const nucleus = slider(w.insideTopP, [0.05, 1, 0.05, topP], (v) => `${Math.round(100 * v)} %`, (v) => {
    topP = v;
    void guarded(write);
  });

  const add = async (key: string, label: string, file: string, bytes: Uint8Array, itsText?: string) => {
    // Opened beside, so that what is there stays if the file is no model.
    await asking().call("open", "probe", file, bytes);
    models.set(key, { label, file, bytes: () => Promise.resolve(bytes), text: itsText });
    relist();
    modelChoice.select.value = key;
    await openModel(key);
  };
  const take = (file: File) =>
    void (async () => {
      try {
        if (await isModel(file)) await add(`file ${file.name}`, w.insideDropped(file.name), file.name, new Uint8Array(await file.arrayBuffer()));
        else {
          text.value = file.size <= LONGEST ? await file.text() : "";
          await readText(file.size <= LONGEST ? text.value : file.slice(0, 4 * LONGEST));
        }
      } catch (error) {
        note.textContent = w.trainRefused(file.name, (error as Error).message);
      }
    })();
  handed(({ bytes, text }) => {
    void guarded(() => add("trained", w.insideTrained, "model.safetensors", bytes, text));
    root.scrollIntoView();
  });
  const open = opener(w.insideLoad, ".safetensors,.txt,.md,text/*", root, take);

  root.append(
    h("div", { class: "panel wide" }, modelChoice.root, open, second.root),
    h("details", {}, h("summary", {}, w.insideText), h("label", { for: text.id, class: "hidden" }, w.insideText), text, h("div", { class: "buttons" }, button(w.insideRead, () => void readText(text.value)))),
    note,
    status,
    h(
      "div",
      { class: "panel wide" },
      by.root,
      h("div", { class: "control" }, h("label", { for: chooser.id }, w.insideNeuron), chooser),
      follows.root,
      h("div", { class: "control" }, h("label", { for: query.id }, w.insideFindText), h("div", { class: "row" }, query, button(w.insideSearch, seek))),
      h("div", { class: "control check" }, guessed, h("label", { for: guessed.id }, w.insideGuesses)),
    ),
    foundText,
    comparison,
    h("div", { class: "buttons" }, button("◀", () => void turnTo(from - size()), { "aria-label": w.insidePageBack }), button("▶", () => void turnTo(from + size()), { "aria-label": w.insidePageOn }), pageNote),
    view.root,
    letterNote,
    expects,
    gradientNote,
    h("h3", {}, w.insideSimilar),
    similar,
    h("h3", {}, w.insideStates),
    states,
    h("h3", {}, w.insideGates),
    h("p", { class: "note" }, w.insideGatesAbout),
    gates,
    h("h3", {}, w.insideWrite),
    h(
      "div",
      { class: "panel" },
      h("div", { class: "control" }, h("label", { for: prompt.id }, w.insidePrompt), prompt),
      heat.root,
      nucleus.root,
      button(w.insideSeed, () => {
        seed++;
        void guarded(write);
      }),
    ),
    written,
  );
  document.addEventListener("theme", () => void guarded(() => drawings()));
  text.value = models.get(name)!.text ?? code;
  void guarded(() => openModel(name));
  return root;
}
