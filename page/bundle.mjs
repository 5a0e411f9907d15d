// Bundles the script, the style, the WebAssembly and the models into one HTML file, compressed for the repository.
//
//   node page/bundle.mjs OUT.html.gz

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { constants, gzipSync } from "node:zlib";

import { sevenBits } from "./packed.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const modules = resolve(process.env.NODE_PATH || join(here, "node_modules"));
const require = createRequire(join(modules, "x.js"));
const { buildSync, build, transformSync } = require("esbuild");

const target = ["chrome100", "firefox100", "safari16"];
const common = { bundle: true, write: false, minify: true, target, format: "iife", legalComments: "none", charset: "utf8", nodePaths: [modules], logLevel: "warning" };

const worker = buildSync({ ...common, entryPoints: [join(here, "src/worker.ts")], define: { "import.meta.url": '""' } });
const parts = {
  name: "parts",
  setup(plugin) {
    plugin.onResolve({ filter: /^worker:/ }, () => ({ path: "worker", namespace: "worker" }));
    plugin.onLoad({ filter: /.*/, namespace: "worker" }, () => ({ contents: worker.outputFiles[0].text, loader: "text" }));
  },
};
const script = (await build({ ...common, entryPoints: [join(here, "src/main.ts")], plugins: [parts] })).outputFiles[0].text;
const styles = [join(here, "../crates/elman-cli/src/page/colours.css"), join(modules, "uplot/dist/uPlot.min.css"), join(here, "src/style.css")];
const style = transformSync(styles.map((path) => readFileSync(path, "utf8")).join("\n"), { loader: "css", minify: true }).code;

// A twentieth smaller than zlib's best, and as quickly unpacked.
const { gzipAsync } = require("@gfx/zopfli");
const stored = [
  ["wasm", join(here, "build-wasm/elman_wasm_bg.wasm")],
  ...["inside", "digit", "scene", "sentence", "numbers", "stroke"].map((name) => [`model-${name}`, join(here, `models/${name}.safetensors`)]),
  ...["en", "ko", "code"].map((name) => [`text-${name}`, join(here, `texts/${name}.txt`)]),
];
const embedded = [];
for (const [id, path] of stored) embedded.push([id, sevenBits(await gzipAsync(readFileSync(path), { numiterations: 5 }))]);

// Nothing may be fetched, whatever the script would do.
const policy = "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; worker-src blob:; style-src 'unsafe-inline'; img-src data: blob:";
const icon = "data:image/svg+xml," + encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1f6b75"/><path d="M4 11a4 4 0 1 1 8 0M12 11l-2-2M12 11l2-2" stroke="#fff" stroke-width="1.6" fill="none"/></svg>');
const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>See it think</title><meta name="description" content="Recurrent networks at work in one offline page: step, lossFun, training, looking inside, five pictures.">
<link rel="icon" href="${icon}"><style>${style}</style>
${embedded.map(([id, text]) => `<script type="text/plain" id="${id}">${text}</script>`).join("\n")}
<!--given--></head>
<body><noscript><h1>See it think</h1><p>This page computes everything in your browser and needs JavaScript; nothing is fetched or sent.</p></noscript>
<script>${script.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--")}</script></body></html>
`;
const bytes = Buffer.byteLength(html);
const kilobytes = (n) => `${Math.round(n / 1000)} kB`;
for (const [id, text] of embedded) console.log(`${id.padEnd(15)} ${kilobytes(Buffer.byteLength(text))}`);
console.log(`script          ${kilobytes(script.length)} (worker ${kilobytes(worker.outputFiles[0].text.length)}), style ${kilobytes(style.length)}`);
console.log(`page            ${bytes} bytes`);
if (bytes > 1_500_000) throw new Error("the page is larger than 1.5 MB");
writeFileSync(process.argv[2], gzipSync(html, { level: constants.Z_BEST_COMPRESSION }));
