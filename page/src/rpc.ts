// The page's side of the two workers.

// Bundled by page/build as a text: a worker made of it runs from a file on the disk too.
import source from "worker:./worker.ts";

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
  private readonly worker: Worker;
  private readonly waiting = new Map<number, [(value: never) => void, (error: Error) => void]>();
  private count = 0;
  onevent: (event: Progress | Stopped) => void = () => {};
  readonly ready: Promise<string>;

  constructor() {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.worker = new Worker(url);
    this.worker.onmessage = ({ data }) => {
      if (data.event) return this.onevent(data);
      const [resolve, reject] = this.waiting.get(data.id) ?? [];
      this.waiting.delete(data.id);
      if (data.error !== undefined) reject?.(new Error(data.error));
      else resolve?.(data.value as never);
    };
    this.ready = this.send("begin", part("wasm"), new URLSearchParams(location.search).get("isa"));
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

/** The text of a part of the page. */
export const part = (name: string): string => document.getElementById(name)?.textContent ?? "";
