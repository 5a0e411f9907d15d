// The model that `elman show` put into the page, if it is one that no chapter of its own shows.

import { h, tint } from "../dom";
import { latest, percent } from "../pictures/picture";
import { scroll } from "../parts";
import { asking, part } from "../rpc";
import type { Given } from "../given";
import { t } from "../text";

interface Answer {
  probabilities?: number[];
  words?: [string, number][];
  value?: number;
  steps?: number[][];
  texts?: { text: string; words: [string, number[]][] }[];
  source?: string[] | null;
  labels: string[];
  warning: string | null;
}

const bars = (labels: string[], probabilities: number[]): HTMLElement =>
  h(
    "div",
    { class: "bars" },
    ...probabilities
      .map((p, n): [number, string] => [p, labels[n] ?? String(n)])
      .sort((a, b) => b[0] - a[0])
      .slice(0, 10)
      .map(([p, label]) =>
        h(
          "div",
          { class: "bar" },
          h("span", { class: "letter" }, label),
          h("span", { class: "track" }, h("span", { class: "fill", style: `width:${(100 * p).toFixed(1)}%` })),
          h("span", { class: "value" }, `${percent(p)} %`),
        ),
      ),
  );

const attention = (read: string[], written: [string, number[]][]): HTMLElement => {
  const table = h("table", { class: "numbers attention" }, h("caption", {}, t().numbersWritten));
  table.append(h("tr", {}, h("td"), ...read.map((word) => h("th", { scope: "col" }, word.replace("▁", "")))));
  for (const [word, weights] of written)
    table.append(
      h(
        "tr",
        {},
        h("th", { scope: "row" }, word.replace("▁", "").trim() || t().numbersEnd),
        ...weights.map((p) => h("td", { style: `background:${tint(p)}` }, p >= 0.05 ? percent(p) : "")),
      ),
    );
  return scroll(t().numbersWritten, table);
};

const KINDS = ["--low", "--high", "--green", "--faint"];

function shown(answer: Answer): HTMLElement[] {
  const { probabilities, value, steps, texts, labels } = answer;
  if (probabilities) return [bars(labels, probabilities)];
  if (value !== undefined) return [h("p", { class: "where" }, value.toPrecision(5))];
  if (texts)
    return texts.slice(0, 1).flatMap(({ text, words }) => [h("p", { class: "where" }, h("strong", {}, text)), words.length > 0 ? attention([...(answer.source ?? []), t().numbersEnd], words) : h("span")]);
  const ribbon = h("div", { class: "ribbon" });
  for (const p of steps ?? []) {
    const best = p.indexOf(Math.max(...p));
    const place = KINDS[best % KINDS.length]!;
    const colour = place === "--faint" ? "var(--faint)" : `rgb(var(${place}))`;
    ribbon.append(h("i", { title: `${labels[best]} ${percent(p[best]!)} %`, style: `background:${colour}` }, String(labels[best]).slice(0, 1)));
  }
  return [scroll(labels.join(", "), ribbon)];
}

export function givenChapter(show: Given): HTMLElement {
  const w = t();
  const out = h("div", { "aria-live": "polite", id: "given-answers" });
  const note = h("p", { class: "note" });
  let opened: Promise<unknown> | null = null;
  const table = show.task !== "translate" && show.task !== "classify-text";
  const ask = latest<string>(
    async (text) => {
      if (text.trim() === "") return out.replaceChildren();
      opened ??= asking().call("openTask", "given", part("given-model"));
      await opened;
      const answers = table
        ? await asking().call<Answer[]>("ofTable", "given", text)
        : (await Promise.all(text.split("\n").filter((line) => line.trim() !== "").slice(0, 50).map((line) => asking().call<Answer[]>("ofText", "given", line)))).flat();
      note.textContent = answers.map((a) => a.warning).find((warning) => warning) ?? "";
      out.replaceChildren(...answers.slice(0, 50).flatMap((answer, n) => [h("p", { class: "caption" }, `${n + 1}`), ...shown(answer)]));
    },
    (error) => {
      out.replaceChildren();
      note.textContent = `${w.failed} ${error.message}`;
    },
  );
  const input = h("textarea", { id: "given-input", rows: 6, class: "text", spellcheck: "false", oninput: () => ask(input.value) });
  input.value = show.text;
  ask(show.text);
  return h(
    "section",
    { id: "given", class: "chapter", "aria-labelledby": "given-title" },
    h("h2", { id: "given-title" }, w.showTitle),
    h("p", { class: "lead" }, `${w.showAbout(show.name)} (${show.task})`),
    h("div", { class: "control stacked" }, h("label", { for: "given-input" }, table ? w.showTable : w.showText), input),
    note,
    out,
  );
}
