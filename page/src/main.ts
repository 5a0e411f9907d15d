// The page: its head, its chapters, the switches of language and colours.

import { givenChapter } from "./chapters/given";
import { insideChapter } from "./chapters/inside";
import { lossChapter } from "./chapters/loss";
import { picturesChapter } from "./chapters/pictures";
import { stepChapter } from "./chapters/step";
import { trainChapter } from "./chapters/train";
import { h, select } from "./dom";
import { given } from "./given";
import { asking, training } from "./rpc";
import { hasSimd } from "./simd";
import { language, speak, t } from "./text";

type Theme = "auto" | "light" | "dark";

/** Storage may be shut, as for files in some browsers. */
const stored = (key: string): string | null => {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
};
const store = (key: string, value: string): void => {
  try {
    localStorage.setItem(key, value);
  } catch {
    // The choice then lasts as long as the page.
  }
};

function colour(theme: Theme): void {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  document.dispatchEvent(new Event("theme"));
}

function words(): "en" | "ko" {
  const asked = new URLSearchParams(location.search).get("lang");
  if (asked === "en" || asked === "ko") return asked;
  return navigator.language.startsWith("ko") ? "ko" : "en";
}

function head(chapters: [string, string][]): HTMLElement[] {
  const w = t();
  const theme = (stored("elman-theme") ?? "auto") as Theme;
  const themes: [string, string][] = [
    ["auto", w.themeAuto],
    ["light", w.themeLight],
    ["dark", w.themeDark],
  ];
  const other = language() === "ko" ? "en" : "ko";
  const link = h("a", { href: `?lang=${other}${location.hash}`, lang: other, hreflang: other, class: "language" }, other === "ko" ? "한국어" : "English");
  link.addEventListener("click", () => (link.search = `?lang=${other}`));
  return [
    h("a", { href: "#main", class: "skip" }, w.skip),
    h(
      "header",
      {},
      h(
        "div",
        { class: "switches" },
        link,
        select(w.theme, themes, theme, (value) => {
          store("elman-theme", value);
          colour(value as Theme);
        }).root,
      ),
      h("h1", {}, w.title),
      h("p", { class: "subtitle" }, w.subtitle),
      h("p", { class: "note", html: w.based }),
    ),
    h("nav", { "aria-label": w.contents }, h("ol", {}, ...chapters.map(([id, title]) => h("li", {}, h("a", { href: `#${id}` }, title))))),
  ];
}

/** The chapters one after another, so that none keeps the reader from the one before. */
async function fill(main: HTMLElement, chapters: (() => HTMLElement)[]): Promise<void> {
  for (const make of chapters) {
    main.append(make());
    await new Promise((resolve) => setTimeout(resolve));
  }
}

async function begin(): Promise<void> {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("theme")));
  speak(words());
  colour((stored("elman-theme") ?? "auto") as Theme);
  const w = t();
  const show = given();
  document.documentElement.lang = language();
  document.title = w.title;
  const chapters: [string, string][] = [
    ["step", w.stepTitle],
    ["loss", w.lossTitle],
    ["train", w.trainTitle],
    ["inside", w.insideTitle],
    ["pictures", w.picturesTitle],
  ];
  const apart = show !== null && show.task !== "language-model";
  if (apart) chapters.unshift(["given", w.showTitle]);
  const main = h("main", { id: "main", tabindex: -1 });
  const isa = h("p", { class: "note", id: "isa" });
  const footer = h("footer", {}, h("h2", {}, w.aboutTitle), h("p", { html: w.aboutBody }), isa);
  const lacking = hasSimd() ? [] : [h("p", { class: "panel", role: "alert", id: "lacking" }, w.noSimd)];
  document.body.replaceChildren(...head(chapters), ...lacking, main, footer);
  // The model of a page made for it comes first.
  const made = [stepChapter, lossChapter, trainChapter, insideChapter, picturesChapter];
  await fill(main, apart ? [() => givenChapter(show), ...made] : made);
  document.body.dataset.ready = "true";
  if (show && !apart && location.hash === "") document.getElementById("inside")?.scrollIntoView();
  else if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  try {
    isa.textContent = w.aboutIsa(await asking().ready);
  } catch (error) {
    isa.textContent = `${w.failed} ${(error as Error).message}`;
  }
}

// For the curious at the console, and for the page's tests.
Object.assign(window, { elman: { training, asking } });

void begin();
