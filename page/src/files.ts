// Files that a reader opens or drops, and what chapters hand to each other.

import { h } from "./dom";

/** A model's file begins with the length of its header and the header's brace. */
export async function isModel(file: Blob & { name?: string }): Promise<boolean> {
  if (file.name?.toLowerCase().endsWith(".safetensors")) return true;
  const head = new Uint8Array(await file.slice(0, 9).arrayBuffer());
  return head.length === 9 && head[8] === 0x7b && head[7] === 0 && head[6] === 0;
}

/** A button that opens a file, and a place that takes dropped ones. */
export function opener(label: string, accept: string, place: HTMLElement, open: (file: File) => void): HTMLElement {
  const input = h("input", { type: "file", accept, hidden: true, "aria-label": label, onchange: () => {
    const file = input.files?.[0];
    input.value = "";
    if (file) open(file);
  } });
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("dropping");
  });
  place.addEventListener("dragleave", () => place.classList.remove("dropping"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("dropping");
    const file = event.dataTransfer?.files[0];
    if (file) open(file);
  });
  return h("span", { class: "open" }, h("button", { type: "button", onclick: () => input.click() }, label), input);
}

export function save(bytes: Uint8Array, name: string): void {
  const url = URL.createObjectURL(new Blob([bytes as BlobPart], { type: "application/octet-stream" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export const size = (bytes: number): string =>
  bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/** A model on its way from one chapter to another. */
export interface Handed {
  bytes: Uint8Array;
  text: string;
}
const desk = new EventTarget();
export const hand = (model: Handed): void => void desk.dispatchEvent(new CustomEvent("model", { detail: model }));
export const handed = (take: (model: Handed) => void): void =>
  desk.addEventListener("model", (event) => take((event as CustomEvent<Handed>).detail));
