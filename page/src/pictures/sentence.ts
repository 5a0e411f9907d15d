// Many to one: a sentence, judged word by word.

import { button, h, number, tint } from "../dom";
import { t } from "../text";
import { latest, percent, picture, Pictured } from "./picture";

const MADE = `elman train --task classify-text --embedding 12 --hidden 16 --naive-bayes 0 \\
  --embedding-dropout 0.1 --dropout 0.1 --word-dropout 0.05 --lr 0.005 --epochs 40 --out runs/sentences
elman quantize runs/sentences --precision int8 --out sentence.safetensors
# the data are reviews that the program makes; 100 % of new ones are right`;

interface Judged {
  probabilities: number[];
  words: [string, number][];
  labels: string[];
}

export function sentence(): HTMLElement {
  const w = t();
  const model = new Pictured("sentence");
  const says = h("p", { class: "where", "aria-live": "polite", id: "sentence-says" });
  const words = h("ol", { class: "judged" });
  const input = h("textarea", { id: "sentence-input", rows: 2, lang: "en", spellcheck: "false", maxlength: 400, oninput: () => ask(input.value) });
  const good = (found: Judged): number => found.probabilities[Math.max(0, found.labels.findIndex((l) => /^(1|pos|good)/i.test(l)))]!;
  const ask = latest<string>(
    async (text) => {
      if (text.trim() === "") {
        words.replaceChildren();
        says.textContent = "";
        return;
      }
      const [all] = await model.ask<Judged[]>("ofText", text);
      const read = all!.words.map(([word]) => word);
      const sofar: number[] = [];
      for (let n = 1; n <= read.length; n++) {
        const [part] = await model.ask<Judged[]>("ofText", read.slice(0, n).join(" "));
        sofar.push(good(part!));
      }
      const p = good(all!);
      const sign = p >= 0.5 ? 1 : -1;
      says.textContent = w.sentenceIs(p >= 0.5 ? w.sentenceGood : w.sentenceBad, percent(Math.max(p, 1 - p)));
      words.replaceChildren(
        ...read.map((word, n) => {
          // What a word adds is told of the class that was chosen.
          const added = sign * all!.words[n]![1];
          const label = w.sentenceWord(word, percent(sofar[n]!), number(added));
          return h(
            "li",
            { title: label },
            h("span", { class: "meter", "aria-hidden": true }, h("span", { style: `height:${(100 * sofar[n]!).toFixed(0)}%` })),
            h("span", { class: "word", style: `background:${tint(added / 1.5)}`, lang: "en" }, word),
            h("span", { class: "hidden" }, label),
          );
        }),
      );
    },
    (error) => (says.textContent = `${w.failed} ${error.message}`),
  );
  const put = (text: string) => {
    input.value = text;
    ask(text);
  };
  const root = picture(
    "sentence",
    w.sentenceTitle,
    w.sentenceAbout,
    { inputs: [0, 1, 2, 3], states: 4, outputs: [3] },
    MADE,
    h("div", { class: "control stacked" }, h("label", { for: "sentence-input" }, w.sentenceInput), input),
    h("div", { class: "buttons examples" }, h("span", {}, `${w.sentenceTry}:`), ...w.sentenceExamples.map((text) => button(text, () => put(text), { lang: "en" }))),
    words,
    says,
  );
  put(w.sentenceExamples[0]!);
  return root;
}
