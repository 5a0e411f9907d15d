// Many to many: numbers and dates in English words, in French ones.

import { button, h } from "../dom";
import { scroll } from "../parts";
import { t } from "../text";
import { latest, percent, picture, Pictured } from "./picture";

const MADE = `elman train --task translate --units word --hidden 64 --encoder-hidden 64 --embedding 32 --epochs 8 \\
  --out runs/numbers                                # 6,000 made pairs
elman quantize runs/numbers --precision int8 --out numbers.safetensors`;

export function numbers(): HTMLElement {
  const w = t();
  const model = new Pictured("numbers");
  const says = h("p", { class: "where", "aria-live": "polite", id: "numbers-says" });
  const matrix = h("div");
  const input = h("input", { type: "text", id: "numbers-input", lang: "en", autocomplete: "off", spellcheck: "false", maxlength: 160, oninput: () => ask(input.value) });
  const ask = latest<string>(
    async (text) => {
      if (text.trim() === "") {
        says.textContent = "";
        matrix.replaceChildren();
        return;
      }
      const [found] = await model.ask<{ texts: { text: string; words: [string, number[]][] }[]; source: string[] | null; warning: string | null }[]>("ofText", text);
      const best = found!.texts[0]!;
      says.replaceChildren(h("strong", { lang: "fr" }, best.text));
      const read = [...(found!.source ?? []), w.numbersEnd];
      const table = h("table", { class: "numbers attention" }, h("caption", {}, w.numbersWritten));
      table.append(h("tr", {}, h("td"), ...read.map((word) => h("th", { scope: "col", lang: "en" }, word.trim()))));
      for (const [word, weights] of best.words)
        table.append(
          h(
            "tr",
            {},
            h("th", { scope: "row", lang: "fr" }, word.trim() || w.numbersEnd),
            ...weights.map((weight) => h("td", { style: `background:rgba(var(--high),${(0.85 * weight).toFixed(3)})` }, weight >= 0.05 ? percent(weight) : "")),
          ),
        );
      matrix.replaceChildren(scroll(w.numbersWritten, table));
    },
    (error) => (says.textContent = `${w.failed} ${error.message}`),
  );
  const put = (text: string) => {
    input.value = text;
    ask(text);
  };
  const root = picture(
    "numbers",
    w.numbersTitle,
    w.numbersAbout,
    { inputs: [0, 1, 2], states: 5, outputs: [2, 3, 4] },
    MADE,
    h("div", { class: "control stacked" }, h("label", { for: "numbers-input" }, w.numbersInput), input),
    h("div", { class: "buttons examples" }, h("span", {}, `${w.sentenceTry}:`), ...w.numbersExamples.map((text) => button(text, () => put(text), { lang: "en" }))),
    says,
    matrix,
  );
  put(w.numbersExamples[0]!);
  return root;
}
