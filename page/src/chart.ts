// The loss of a training as it goes, beside what counting reaches.

import uPlot from "uplot";

import { h, ink } from "./dom";

const colour = (name: string, alpha = 1): string => `rgba(${ink(name).join(",")},${alpha})`;

/** Points that are kept: beyond, every other one is left out. */
const MOST = 1200;

export class LossChart {
  readonly root = h("div", { class: "chart", role: "img" });
  private chart: uPlot | null = null;
  private updates: number[] = [];
  private losses: number[] = [];
  private held: (number | null)[] = [];
  private levels: { name: string; nats: number }[] = [];

  constructor(
    private readonly names: { title: string; training: string; held: string },
  ) {
    new ResizeObserver(() => this.chart?.setSize(this.size())).observe(this.root);
  }

  private size(): { width: number; height: number } {
    return { width: Math.max(240, this.root.clientWidth), height: 260 };
  }

  clear(levels: { name: string; nats: number }[]): void {
    this.levels = levels;
    [this.updates, this.losses, this.held] = [[], [], []];
    this.root.classList.remove("begun");
    this.build();
  }

  setLevels(levels: { name: string; nats: number }[]): void {
    this.levels = levels;
    this.build();
  }

  private data(): uPlot.AlignedData {
    return [
      this.updates,
      this.losses,
      this.held,
      ...this.levels.map(({ nats }) => this.updates.map(() => nats)),
    ] as unknown as uPlot.AlignedData;
  }

  /** Draws anew, in the colours of now. */
  build(): void {
    this.chart?.destroy();
    const font = "12px system-ui, sans-serif";
    const axis = { stroke: colour("--ink"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font };
    const fades = [0.9, 0.75, 0.6, 0.5];
    this.chart = new uPlot(
      {
        ...this.size(),
        padding: [8, 8, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false }, y: { range: (_, low, high) => [Math.max(0, low - 0.15), high + 0.1] } },
        axes: [{ ...axis, size: 32 }, { ...axis, size: 44 }],
        series: [
          {},
          { stroke: colour("--high"), width: 1.5 },
          { stroke: colour("--accent"), width: 2, spanGaps: true, points: { show: true, size: 5, fill: colour("--accent") } },
          ...this.levels.map((_, n) => ({ stroke: colour("--faint", fades[n] ?? 0.5), width: 1, dash: [5, 4], points: { show: false } })),
        ],
      },
      this.data(),
      this.root,
    );
  }

  add(updates: number, loss: number): void {
    if (!this.root.classList.contains("begun")) {
      this.root.classList.add("begun");
      this.chart?.setSize(this.size());
    }
    this.updates.push(updates);
    this.losses.push(loss);
    this.held.push(null);
    if (this.updates.length > MOST) {
      // What was measured on held-out text is kept.
      const keep = (_: unknown, n: number) => n % 2 === 0 || this.held[n] !== null || n > MOST - 10;
      const held = this.held.filter(keep);
      this.losses = this.losses.filter(keep);
      this.updates = this.updates.filter(keep);
      this.held = held;
    }
    this.chart?.setData(this.data());
    this.describe();
  }

  addHeld(nats: number): void {
    if (this.held.length > 0) this.held[this.held.length - 1] = nats;
    this.chart?.setData(this.data());
    this.describe();
  }

  private describe(): void {
    const last = (values: (number | null)[]) => values.filter((v) => v !== null).at(-1)?.toFixed(2) ?? "–";
    this.root.setAttribute(
      "aria-label",
      `${this.names.title}: ${this.names.training} ${last(this.losses)}, ${this.names.held} ${last(this.held)}`,
    );
  }
}
