// A step: the whole of a small network, number by number.

import { button, h, slider, tint, visible } from "../dom";
import { chapter, column, grid, Player, scroll, sign } from "../parts";
import { deep, learn, step, type Deep, type Moment } from "../rnn";
import { t } from "../text";

const LETTERS = ["h", "e", "l", "o"];
const LONGEST = 40;

const CODE = `def step(self, x):
  self.h = tanh(self.W_hh @ self.h + self.W_xh @ x + self.b)
  return self.W_hy @ self.h + self.b_y

y = rnn.step(x)
y = rnn2.step(rnn1.step(x))   # one above the other`;

export function stepChapter(): HTMLElement {
  const w = t();
  const { root } = chapter(
    "step",
    1,
    w.stepTitle,
    w.stepLead,
    ["h_t = tanh ( W_hh h_t−1 + W_xh x_t + b_h )", "y_t = W_hy h_t + b_y"],
    CODE,
  );
  let [units, layers, at] = [4, 1, 2];
  let text = "hello";
  let net: Deep;
  let moments: Moment[] = [];

  const input = h("input", { type: "text", id: "step-input", value: text, maxlength: LONGEST, autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const where = h("p", { class: "where", "aria-live": "polite" });
  const figure = h("div", { class: "figure" });
  const strip = h("div");

  const train = () => {
    net = deep(LETTERS, units, layers, 3 + units);
    learn(net, "hello", 160);
    run();
  };
  const run = () => {
    let states = net.layers.map((layer) => layer.b.map(() => 0));
    moments = [...text].map((c) => {
      const moment = step(net, LETTERS.indexOf(c), states);
      states = moment.layers.map((layer) => layer.h);
      return moment;
    });
    at = Math.min(at, moments.length - 1);
    draw();
  };
  const go = (to: number): boolean => {
    if (to < 0 || to >= moments.length) return false;
    at = to;
    draw();
    return true;
  };

  const draw = () => {
    const moment = moments[at]!;
    const letter = LETTERS.indexOf(text[at]!);
    where.textContent = w.stepAt(at + 1, moments.length, text[at]!);
    figure.replaceChildren(
      ...moment.layers.map((layer, l) => {
        const { Wx, Wh, b } = net.layers[l]!;
        return h(
          "div",
          { class: "network" },
          layers > 1 && h("h4", {}, w.stepLayer(l + 1)),
          scroll(
            `${w.stepLayer(l + 1)}: ${w.stepNew}`,
            h(
              "div",
              { class: "sum" },
              grid("W_hh", Wh, { most: 2 }),
              column("h", layer.before, { most: 1 }),
              sign("+"),
              grid("W_xh", Wx, l === 0 ? { most: 2, columns: LETTERS, column: letter } : { most: 2 }),
              column(l === 0 ? "x" : "h₁", layer.input, { most: 1, digits: l === 0 ? 0 : 2 }),
              sign("+"),
              column("b", b, { most: 1 }),
              sign("→"),
              column(w.stepFromState, layer.fromState, { most: 2 }),
              sign("+"),
              column(w.stepFromInput, layer.fromInput, { most: 2 }),
              sign("tanh"),
              column(w.stepNew, layer.h, { most: 1 }),
            ),
          ),
        );
      }),
      h(
        "div",
        { class: "network" },
        scroll(
          w.stepAnswer,
          h(
            "div",
            { class: "sum" },
            grid("W_hy", net.Wy, { most: 2, rows: LETTERS }),
            column("h", moment.layers[layers - 1]!.h, { most: 1 }),
            sign("+"),
            column("b", net.by, { most: 1 }),
            sign("→"),
            column("y", moment.y, { most: 4 }),
            sign("softmax"),
            h(
              "div",
              { class: "bars" },
              h("p", { class: "caption" }, w.stepNext),
              ...moment.p.map((p, i) =>
                h(
                  "div",
                  { class: "bar" },
                  h("span", { class: "letter" }, LETTERS[i]!),
                  h("span", { class: "track" }, h("span", { class: "fill", style: `width:${(100 * p).toFixed(1)}%` })),
                  h("span", { class: "value" }, `${Math.round(100 * p)} %`),
                ),
              ),
            ),
          ),
        ),
      ),
    );
    const cells = (l: number, unit: number) =>
      moments.map((m, k) => {
        const value = m.layers[l]!.h[unit]!;
        return h("td", { class: k === at ? "picked" : "", style: `background:${tint(value)}` }, value.toFixed(1).replace("-", "−"));
      });
    const table = h("table", { class: "numbers states" }, h("caption", {}, w.stepState));
    table.append(
      h(
        "tr",
        {},
        h("td"),
        ...[...text].map((c, k) =>
          h(
            "th",
            { scope: "col", class: k === at ? "picked" : "" },
            h("button", { type: "button", class: "cell", "aria-pressed": k === at, "aria-label": w.stepAt(k + 1, text.length, c), onclick: () => go(k) }, visible(c)),
          ),
        ),
      ),
    );
    for (let l = 0; l < layers; l++)
      for (let unit = 0; unit < units; unit++)
        table.append(
          h("tr", {}, h("th", { scope: "row" }, (layers > 1 ? `${w.stepLayer(l + 1)}, ` : "") + w.stepUnit(unit + 1)), ...cells(l, unit)),
        );
    strip.replaceChildren(scroll(w.stepState, table));
  };

  const player = new Player(() => go(at + 1), 900, (playing) => (play.textContent = playing ? w.pause : w.play));
  const play = button(w.play, () => {
    if (!player.playing && at === moments.length - 1) go(0);
    player.toggle();
  });
  input.addEventListener("input", () => {
    const known = [...input.value.toLowerCase()].filter((c) => LETTERS.includes(c)).join("");
    input.setAttribute("aria-invalid", String(known !== input.value || known === ""));
    if (known === "" || known === text) return;
    text = known;
    at = text.length - 1;
    run();
  });
  const stacked = h("input", { type: "checkbox", id: "step-two", onchange: () => {
    layers = stacked.checked ? 2 : 1;
    deeper.hidden = !stacked.checked;
    train();
  } });
  const deeper = h("p", { html: w.stepDeep, hidden: true });

  root.append(
    h("p", { html: w.stepAbout }),
    h(
      "div",
      { class: "panel" },
      h("div", { class: "control" }, h("label", { for: "step-input" }, w.stepInput), input),
      slider(w.stepUnits, [3, 5, 1, units], String, (value) => {
        units = value;
        train();
      }).root,
      h("div", { class: "control check" }, stacked, h("label", { for: "step-two" }, w.stepTwo)),
      h(
        "div",
        { class: "buttons" },
        button(w.back, () => go(at - 1)),
        button(w.forward, () => go(at + 1), { class: "main" }),
        play,
      ),
    ),
    where,
    figure,
    strip,
    h("p", { class: "note", html: w.stepNote }),
    deeper,
  );
  train();
  return root;
}
