// Many to many: numbers and dates in English words, in French ones.

import { button, h, tint } from "../dom";
import { scroll } from "../parts";
import { t } from "../text";
import { latest, percent, picture, Pictured } from "./picture";

const MADE = `elman train --task translate --units word --hidden 48 --encoder-hidden 48 --embedding 24 \\
  --epochs 16 --out runs/numbers                               # 6,000 made pairs
elman quantize runs/numbers --precision int8 --out numbers.safetensors`;

/** A word without the blank that its tokenizer sees before it. */
const bare = (word: string): string => word.replace("▁", "").trim();

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
      table.append(h("tr", {}, h("td"), ...read.map((word) => h("th", { scope: "col", lang: "en" }, bare(word)))));
      for (const [word, weights] of best.words)
        table.append(
          h(
            "tr",
            {},
            h("th", { scope: "row", lang: "fr" }, bare(word) || w.numbersEnd),
            ...weights.map((weight) => h("td", { style: `background:${tint(weight)}` }, weight >= 0.05 ? percent(weight) : "")),
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
