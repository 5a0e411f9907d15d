// Drives the offline page as a reader would, from the disk and with the network cut.
//
//   node page/test/run.mjs PAGE.html [--shots FOLDER] [--quick] [--only PART]
//
// Needs playwright-core and axe-core (NODE_PATH, else page/node_modules) and a Chromium (CHROMIUM, else /usr/bin/chromium). With
// --quick, what takes long is left out; figures are printed, and only those are held that no busy machine can miss.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { packed } from "../packed.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const modules = resolve(process.env.NODE_PATH || join(here, "../node_modules"));
const require = createRequire(join(modules, "x.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(join(modules, "axe-core/axe.min.js"), "utf8");

const args = process.argv.slice(2);
const file = pathToFileURL(resolve(args[0])).href;
const shots = args.includes("--shots") ? args[args.indexOf("--shots") + 1] : null;
const quick = args.includes("--quick");
const only = new RegExp(args.includes("--only") ? args[args.indexOf("--only") + 1] : "");
if (shots) mkdirSync(shots, { recursive: true });
const recorded = JSON.parse(readFileSync(join(here, "fingerprint.json"), "utf8"));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
const faults = [];

/** A page as it opens for a reader; whatever it asks of the network, or complains of, is a fault. */
async function opened({ lang = "en", width = 1280, scheme = "light", query = "", url = file } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: 900 }, colorScheme: scheme, offline: true, acceptDownloads: true, reducedMotion: query.includes("still") ? "reduce" : "no-preference",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && faults.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => faults.push(`error: ${error.stack}`));
  page.on("request", (request) => /^(https?|ws):/.test(request.url()) && faults.push(`request: ${request.url()}`));
  await page.addInitScript(() => {
    window.longest = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((e) => (window.longest = Math.max(window.longest, e.duration)))).observe({ type: "longtask", buffered: true });
  });
  await page.goto(`${url}?lang=${lang}${query}`);
  await page.waitForSelector("body[data-ready]");
  return { page, close: () => context.close() };
}

const text = (page, selector) => page.locator(selector).innerText();
const settled = (page, check, argument) => page.waitForFunction(check, argument, { polling: 50 });
const number = (value) => Number(value.replace("−", "-").replaceAll(",", ""));
const figures = [];
const figure = (name, value) => figures.push(`${name.padEnd(58)} ${value}`);
async function part(name, run) {
  if (!only.test(name)) return;
  const began = performance.now();
  await run();
  assert.deepEqual(faults, [], `${name}: faults`);
  console.log(`ok  ${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s  ${name}`);
}
/** A file as it is dropped. */
const drop = (page, section, name, bytes) =>
  page.locator(section).evaluate(
    (target, [name, base64]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name));
      target.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    },
    [name, Buffer.from(bytes).toString("base64")],
  );

try {
  const { page, close } = await opened();

  await part("opens fast and says what it computes with", async () => {
    const usable = await page.evaluate(() => performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd);
    figure("usable after opening (DOM complete)", `${usable.toFixed(0)} ms`);
    await settled(page, () => /simd128|plain/.test(document.getElementById("isa").textContent));
  });

  await part("step: the state moves, letters are typed, a second network is stacked", async () => {
    const before = await page.locator("#step .figure").innerText();
    await page.locator("#step button.main").click();
    assert.notEqual(await page.locator("#step .figure").innerText(), before);
    await page.locator("#step-input").fill("hellohe!");
    assert.match(await text(page, "#step .where"), /7 of 7: “e”/);
    assert.equal(await page.locator("#step-input").getAttribute("aria-invalid"), "true");
    await page.locator("#step-input").fill("hello");
    // It has learned: after `hell` comes `o`.
    for (let back = 0; back < 1; back++) await page.getByRole("button", { name: "Back" }).first().click();
    const bars = await page.locator("#step .bar .value").allInnerTexts();
    assert.ok(parseInt(bars[3]) > 80, `${bars}`);
    await page.locator("#step-two").check();
    assert.equal(await page.locator("#step .figure .network").count(), 3);
    await page.locator("#step-two").uncheck();
  });

  await part("lossFun: line by line, and its gradient is that of the library and of differences", async () => {
    await page.locator("#loss button.main").click();
    assert.equal(await page.locator("#loss .listing li.now").count(), 1);
    const position = page.locator("#loss input[type=range]").first();
    await position.fill("90");
    assert.match(await text(page, "#loss .where"), /t = \d/);
    for (const weight of ["1,2", "3,0"]) {
      await page.locator("#loss select").selectOption(weight);
      const drag = page.locator("#loss input[type=range]").nth(1);
      for (const value of ["-1.5", "0.4"]) {
        await drag.fill(value);
        const [exact, numeric] = [number(await text(page, "#loss-exact")), number(await text(page, "#loss-numeric"))];
        assert.ok(Math.abs(exact - numeric) < 5e-6, `${exact} ${numeric}`);
        await settled(page, () => {
          const value = (id) => Number(document.getElementById(id).textContent.replace("−", "-"));
          return Math.abs(value("loss-library") - value("loss-exact")) < 2e-5;
        });
      }
    }
    assert.match(await text(page, "#loss > .note >> nth=0"), /10⁻[⁵⁶⁷⁸]/u);
    await page.locator("#loss input[type=range]").nth(2).fill("2.5");
    assert.match(await text(page, "#loss > .note >> nth=1"), /explode|bound/);
  });

  await part("a browser without SIMD is told, and the first chapters work", async () => {
    const context = await browser.newContext({ offline: true });
    const old = await context.newPage();
    await old.addInitScript(() => (WebAssembly.validate = () => false));
    await old.goto(`${file}?lang=en`);
    await old.waitForSelector("body[data-ready]");
    assert.match(await old.locator("#lacking").innerText(), /lacks WebAssembly with SIMD/);
    await settled(old, () => document.querySelectorAll("#step *").length > 50);
    await context.close();
  });

  await part("pictures: a digit, a scene, a judgement, numbers, a stroke", async () => {
    await page.locator("#digit button").first().click();
    await settled(page, () => /That is a 3/.test(document.getElementById("digit-says").textContent));
    await page.locator("#digit button").nth(1).click();
    const pad = await page.locator("#digit canvas").boundingBox();
    await page.mouse.move(pad.x + 145, pad.y + 50);
    await page.mouse.down();
    await page.mouse.move(pad.x + 140, pad.y + 230, { steps: 12 });
    await page.mouse.up();
    await settled(page, () => /That is a 1/.test(document.getElementById("digit-says").textContent));

    await settled(page, () => /a red circle in row one and a blue square in row three/.test(document.getElementById("scene-says").textContent));
    assert.ok((await page.locator("#scene figure").count()) >= 7);
    await page.locator("#scene-two").uncheck();
    await settled(page, () => /a red circle in row one$/.test(document.getElementById("scene-says").textContent));

    await settled(page, () => /positive/.test(document.getElementById("sentence-says").textContent));
    await page.locator("#sentence-input").fill("the story is dreadful and clumsy");
    await settled(page, () => /negative/.test(document.getElementById("sentence-says").textContent));
    assert.equal(await page.locator("#sentence .judged li").count(), 6);

    await settled(page, () => /quatre-vingt-dix-neuf/.test(document.getElementById("numbers-says").textContent));
    await page.locator("#numbers button").nth(2).click();
    await settled(page, () => /quatre cent soixante-douze/.test(document.getElementById("numbers-says").textContent));

    await page.locator("#stroke button").first().click();
    await settled(page, () => ["line", "circle", "zigzag"].some((kind) => document.getElementById("stroke-says").textContent.includes(kind)));
  });

  await part("look inside: colours, search, guesses, gradients, gates, likeness, writing", async () => {
    await settled(page, () => /nats per letter/.test(document.getElementById("inside-status").textContent));
    await settled(page, () => document.querySelectorAll("#inside .gate").length === 2);
    assert.ok((await page.locator("#inside .letters i").count()) > 400);
    const coloured = await page.locator("#inside .letters i").evaluateAll((all) => all.filter((i) => i.style.background).length);
    assert.ok(coloured > 100, `${coloured} letters are coloured`);
    const follows = page.locator("#inside select").nth(3);
    assert.ok((await follows.locator("option").count()) > 5, "neurons that follow something");
    await page.locator("#inside input[type=text]").first().fill("fn ");
    await page.locator("#inside input[type=text]").first().press("Enter");
    await settled(page, () => /neuron \d+/.test(document.getElementById("inside-found").textContent));
    // Keys go through the letters.
    await page.locator("#inside .letters").focus();
    for (const key of ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown"]) await page.keyboard.press(key);
    assert.match(await text(page, "#inside .where"), /activation/);
    await page.keyboard.press("Enter");
    await settled(page, () => document.querySelectorAll("#inside .similar li").length >= 4);
    // The gradient of one letter, pointed at.
    await page.locator("#inside select").nth(2).selectOption("gradient");
    await page.waitForTimeout(300);
    const times = [];
    for (const at of [300, 320, 345, 360]) {
      await page.locator(`#inside .letters i[data-at="${at}"]`).hover();
      await settled(page, (at) => document.querySelector("#inside .letters .here")?.dataset.at === String(at) && document.querySelector("#inside [data-ms]"), at);
      await page.waitForTimeout(150);
      times.push(Number(await page.locator("#inside .note[data-ms]:not(#inside-found)").getAttribute("data-ms")));
    }
    figure("gradient of a letter over the 200 before it", `${Math.min(...times).toFixed(1)} to ${Math.max(...times).toFixed(1)} ms`);
    await page.locator("#inside input[type=checkbox]").check();
    await settled(page, () => document.querySelectorAll("#inside .letters.guess i b").length >= 6 * 400);
    await page.locator("#inside input[type=checkbox]").uncheck();
    await page.locator("#inside select").nth(2).selectOption("neuron");
    const written = await text(page, "#inside-written");
    assert.ok(written.length > 200);
    await page.getByRole("button", { name: "Another one" }).click();
    await settled(page, (before) => document.getElementById("inside-written").innerText !== before, written);
  });

  await part("train: samples, speed, a model saved, dropped, refused", async () => {
    await page.evaluate(() => (window.longest = 0));
    await page.locator("#train-go").click();
    await settled(page, () => document.getElementById("train-sample").textContent.length > 50);
    const first = await text(page, "#train-sample");
    const began = Date.now();
    await settled(page, (first) => document.getElementById("train-sample").innerText !== first, first);
    figure("first change of the sample after training began", `${Date.now() - began} ms`);
    await page.waitForTimeout(quick ? 6000 : 60_000);
    figure("letters per second, GRU-128", await text(page, "#train-speed"));
    figure("updates", await text(page, "#train-updates"));
    figure("longest task of the page while it trains", `${(await page.evaluate(() => window.longest)).toFixed(0)} ms`);
    const words = new Set(readFileSync(join(here, "../texts/en.txt"), "utf8").toLowerCase().match(/[a-z]{3,}/g));
    const sample = (await text(page, "#train-sample")).toLowerCase().match(/[a-z]{3,}/g) ?? [];
    const known = sample.filter((word) => words.has(word)).length;
    figure("words of the sample that are words of the text", `${known} of ${sample.length}`);
    if (!quick) assert.ok(known > 0.5 * sample.length, `${known} of ${sample.length}`);
    await page.locator("#train-go").click();
    await settled(page, () => /Paused/.test(document.getElementById("train-status").textContent));
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#train-save").click()]);
    const model = readFileSync(await download.path());
    writeFileSync(join(shots ?? tmpdir(), "elman-page-model.safetensors"), model);

    const updates = await text(page, "#train-updates");
    const damaged = Buffer.from(model);
    damaged[damaged.length - 5] ^= 1;
    for (const [name, bytes, says] of [
      ["damaged.safetensors", damaged, /checksum/],
      ["foreign.safetensors", Buffer.from("<!doctype html><title>no model</title>"), /foreign/],
      ["short.safetensors", model.subarray(0, 2000), /short/],
    ]) {
      await drop(page, "#train", name, bytes);
      await settled(page, (name) => [...document.querySelectorAll("#train .note")].some((n) => n.textContent.includes(name)), name);
      assert.match((await page.locator("#train .note").allInnerTexts()).join("\n"), says);
      assert.equal(await text(page, "#train-updates"), updates, "nothing is lost");
    }
    await drop(page, "#train", "mine.safetensors", model);
    await settled(page, () => [...document.querySelectorAll("#train .note")].some((n) => /mine.safetensors: gru, 1 × 128|mine.safetensors: gru, 128 × 1/.test(n.textContent)));
    await page.getByRole("button", { name: "Look inside it" }).click();
    await settled(page, () => document.querySelector("#inside select").value === "trained");
    await settled(page, () => /nats per letter/.test(document.getElementById("inside-status").textContent));
    // The shipped model beside it.
    await page.locator("#inside select").nth(1).selectOption("trained");
    await settled(page, () => [...document.querySelectorAll("#inside .note")].some((n) => /against/.test(n.textContent)));
  });

  await part("texts of all kinds: none, emoji and Hangul, 50 MB", async () => {
    const fresh = async (content) => {
      await page.getByRole("button", { name: "Start over" }).click();
      await settled(page, () => /Not training/.test(document.getElementById("train-status").textContent));
      await page.locator("#train textarea").fill(content);
      await page.locator("#train-go").click();
    };
    await fresh("   ");
    await settled(page, () => /There is no text/.test(document.getElementById("train-status").textContent));
    await page.locator("#train textarea").fill("가나다라 마바사 😀🚀 아자차카타파하\n".repeat(200));
    await page.locator("#train-go").click();
    await settled(page, () => parseInt(document.getElementById("train-updates").textContent) > 3);
    await page.locator("#train-go").click();
    if (!quick) {
      await page.getByRole("button", { name: "Start over" }).click();
      await page.locator("#train").evaluate((target) => {
        const data = new DataTransfer();
        data.items.add(new File(Array(500).fill("The same line of some length, again and again.\n".repeat(2128)), "large.txt"));
        target.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
      });
      await settled(page, () => [...document.querySelectorAll("#train .note")].some((n) => /large.txt/.test(n.textContent)));
      await page.locator("#train-go").click();
      await page.waitForFunction(() => parseInt(document.getElementById("train-updates").textContent) > 3, null, { timeout: 120_000 });
      await page.locator("#train-go").click();
    }
  });

  if (!quick)
    await part("neuron search over a megabyte", async () => {
      const took = await page.evaluate(async () => {
        const call = (name, ...rest) => window.elman.asking().call(name, ...rest);
        const text = document.querySelector("#train textarea").value || "let x = 1; // a line of text\n";
        await call("read", "a", "let quoted = \"some (words)\"; // a line of text\n".repeat(21300), 1_000_000);
        for (let at = 0; at < 1_000_000; ) {
          const next = await call("advance", "a", 20000);
          if (next === at) break;
          at = next;
        }
        const began = performance.now();
        await call("followingText", "a", "quoted");
        return [performance.now() - began, text.length];
      });
      figure("neuron search over 1 MB", `${took[0].toFixed(0)} ms`);
    });
  await close();

  await part("training has the bits of the native program on the scalar path, and SIMD its numbers", async () => {
    const run = async (query) => {
      const { page, close } = await opened({ query });
      const found = await page.evaluate(async ({ line, repeats, options, updates }) => {
        const trainer = window.elman.training();
        await trainer.call("train", line.repeat(repeats), options);
        const losses = await trainer.call("updates", updates);
        return { isa: await trainer.ready, losses, fingerprint: (await trainer.call("fingerprint")) >>> 0 };
      }, recorded);
      await close();
      return found;
    };
    const plain = await run("&isa=plain");
    assert.equal(plain.isa, "plain");
    assert.equal(plain.fingerprint, recorded.fingerprint, "weights after 200 updates");
    const simd = await run("");
    assert.equal(simd.isa, "simd128");
    const gap = Math.max(...simd.losses.slice(0, 20).map((loss, n) => Math.abs(loss - plain.losses[n]) / plain.losses[n]));
    assert.ok(gap < 1e-5, `${gap}`);
    figure("fingerprint after 200 updates, page and native", plain.fingerprint.toString(16));
    figure("losses of 20 updates, SIMD against scalar", gap.toExponential(1));
  });

  await part("a page with a model inside", async () => {
    const place = mkdtempSync(join(tmpdir(), "elman-page-"));
    const withModel = (name, about) => {
      const model = packed(readFileSync(join(here, `../models/${name}.safetensors`)));
      const given = `<script type="application/json" id="given">${JSON.stringify(about)}</script><script type="text/plain" id="given-model">${model}</script>`;
      const path = join(place, `${name}.html`);
      writeFileSync(path, readFileSync(fileURLToPath(file), "utf8").replace("<!--given-->", () => given));
      return pathToFileURL(path).href;
    };
    const shown = await opened({ url: withModel("inside", { name: "mine", task: "language-model", text: "let x = (1 + 2) * 3;\n".repeat(30), labels: [] }) });
    await settled(shown.page, () => /nats per letter/.test(document.getElementById("inside-status").textContent));
    assert.match(await text(shown.page, "#inside select >> nth=0"), /mine/);
    assert.match(await text(shown.page, "#inside .letters"), /let x = \(1 \+ 2\)/);
    await shown.close();
    const judged = await opened({ url: withModel("sentence", { name: "films", task: "classify-text", text: "a warm and funny film\na dull mess", labels: ["0", "1"] }) });
    await settled(judged.page, () => document.querySelectorAll("#given-answers .bars").length === 2);
    await judged.close();
    const drawn = await opened({ url: withModel("stroke", { name: "strokes", task: "classify-frames", text: "stroke,dx,dy\n" + "1,8,3\n".repeat(60), labels: [] }) });
    await settled(drawn.page, () => document.querySelectorAll("#given-answers .ribbon i").length === 60);
    await drawn.close();
  });

  for (const [lang, width, scheme] of [["en", 1280, "light"], ["ko", 1280, "dark"], ["en", 390, "dark"], ["ko", 390, "light"]])
    await part(`reads well: ${lang}, ${width} px, ${scheme}`, async () => {
      const { page, close } = await opened({ lang, width, scheme, query: "&still" });
      await settled(page, () => document.querySelectorAll("#inside .gate").length === 2 && document.getElementById("numbers-says").textContent.length > 8);
      assert.equal(await page.evaluate(() => document.documentElement.lang), lang);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing wider than the window");
      const small = await page.evaluate(() => {
        const found = [];
        const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) {
          const [node, parent] = [walk.currentNode, walk.currentNode.parentElement];
          if (!node.data.trim() || !parent.checkVisibility() || parent.closest("script,style,option")) continue;
          const svg = parent.closest("svg");
          const scale = svg ? svg.getBoundingClientRect().width / (svg.viewBox.baseVal?.width || svg.getBoundingClientRect().width) : 1;
          const size = parseFloat(getComputedStyle(parent).fontSize) * scale;
          if (size < 11.99) found.push(`${size} ${parent.tagName}.${parent.className} ${node.data.slice(0, 20)}`);
        }
        return found;
      });
      assert.deepEqual(small.filter((s) => !/^\d+\.?\d* (mi|mo|mn|mtext)/i.test(s)), [], "text under 12 px");
      if (lang === "ko") {
        const latin = await page.evaluate(() => [...document.querySelectorAll("h1,h2,h3,p,label,button,summary,dt,figcaption")].filter((e) => e.checkVisibility() && !e.querySelector("[lang]") && !e.closest("[lang=en],[lang=fr],.sample,.similar,.earlier,.values,.letters,.expects") && /[A-Za-z]{3}/.test(e.textContent) && !/[가-힣]/.test(e.textContent)).map((e) => e.textContent.slice(0, 60)));
        assert.deepEqual(latin.filter((s) => !/^(hello|English|LSTM|GRU|lossFun)/.test(s)), [], "words that are not Korean");
      }
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
      assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((n) => n.html.slice(0, 120) + " " + n.any.map((a) => a.message)).join(" | ")}`), []);
      if (violations.length > 0) console.log(`    axe, minor: ${violations.map(({ id, nodes }) => `${id} (${nodes.length})`).join(", ")}`);
      if (shots) {
        await page.locator("#digit button").first().click();
        await page.locator("#stroke button").first().click();
        await page.waitForTimeout(1500);
        await page.addStyleTag({ content: "nav{position:static!important}" });
        for (const part of ["header", "#step", "#loss", "#train", "#inside", "#pictures"])
          await page.locator(part).screenshot({ path: join(shots, `${lang}-${width}-${scheme}-${part.replace("#", "")}.png`) });
      }
      await close();
    });
  console.log(`\n${figures.join("\n")}`);
} finally {
  await browser.close();
}
