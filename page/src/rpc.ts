// The page's side of the two workers.

// Bundled by page/build as a text: a worker made of it runs from a file on the disk too.
import source from "worker:./worker.ts";

import { unpacked } from "./packed";

export type Progress = {
  event: "progress";
  updates: number;
  loss: number;
  norm: number;
  characters: number;
  seconds: number;
  epochs: number;
};
export type Stopped = { event: "stopped"; message: string };

export class Remote {
  private worker!: Worker;
  private readonly waiting = new Map<number, [(value: never) => void, (error: Error) => void]>();
  private count = 0;
  onevent: (event: Progress | Stopped) => void = () => {};
  ready!: Promise<string>;

  constructor() {
    this.start();
  }

  private start(): void {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.worker = new Worker(url);
    this.worker.onmessage = ({ data }) => {
      if (data.event === "broken") return this.restart(data.message);
      if (data.event) return this.onevent(data);
      const [resolve, reject] = this.waiting.get(data.id) ?? [];
      this.waiting.delete(data.id);
      if (data.error !== undefined) reject?.(new Error(data.error));
      else resolve?.(data.value as never);
    };
    this.ready = this.send("begin", part("wasm"), new URLSearchParams(location.search).get("isa"));
  }

  /** WebAssembly that has ended, for want of memory, is of no use any more. */
  private restart(message: string): void {
    this.worker.terminate();
    for (const [, reject] of this.waiting.values()) reject(new Error(message));
    this.waiting.clear();
    this.start();
    this.onevent({ event: "stopped", message });
  }

  private send<T>(call: string, ...args: unknown[]): Promise<T> {
    return new Promise((resolve, reject) => {
      const id = ++this.count;
      this.waiting.set(id, [resolve as (value: never) => void, reject]);
      this.worker.postMessage({ id, call, args });
    });
  }

  /** Calls a function of the worker. */
  async call<T>(name: string, ...args: unknown[]): Promise<T> {
    await this.ready;
    return this.send<T>(name, ...args);
  }
}

let trainer: Remote | null = null;
let answers: Remote | null = null;

/** The worker that trains, begun when it is first needed. */
export const training = (): Remote => (trainer ??= new Remote());
/** The worker that answers. */
export const asking = (): Remote => (answers ??= new Remote());

/** A part of the page that is a text, compressed. */
export const story = (name: string): string => new TextDecoder().decode(unpacked(part(`text-${name}`)));

/** The text of a part of the page. */
export const part = (name: string): string => document.getElementById(name)?.textContent ?? "";
