// A page of a text, letter by letter: coloured, pointed at, gone through by keys.

import { h, tint, visible } from "./dom";

export class TextView {
  readonly root = h("div", { class: "letters", tabindex: 0, role: "application" });
  private cells: HTMLElement[] = [];
  private heads: HTMLElement[] = [];
  private painted: string[] = [];
  private from = 0;
  private at = -1;
  onpoint: (at: number) => void = () => {};
  onchoose: (at: number) => void = () => {};
  /** Beyond the page, by so many letters. */
  onleave: (to: number) => void = () => {};

  constructor(label: string, description: string) {
    this.root.setAttribute("aria-label", label);
    this.root.setAttribute("aria-describedby", description);
    const cell = (event: Event) => {
      const found = (event.target as HTMLElement).closest<HTMLElement>("[data-at]");
      return found ? Number(found.dataset.at) : -1;
    };
    const point = (event: Event) => {
      const at = cell(event);
      if (at >= 0 && at !== this.at) this.point(at);
    };
    this.root.addEventListener("pointermove", point);
    this.root.addEventListener("pointerdown", point);
    this.root.addEventListener("click", (event) => {
      const at = cell(event);
      if (at >= 0) this.onchoose(at);
    });
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  private key(event: KeyboardEvent): void {
    const moves: Record<string, () => number> = {
      ArrowLeft: () => this.at - 1,
      ArrowRight: () => this.at + 1,
      ArrowUp: () => this.beside(-1),
      ArrowDown: () => this.beside(1),
      Home: () => this.from,
      End: () => this.from + this.cells.length - 1,
      PageUp: () => this.from - 1,
      PageDown: () => this.from + this.cells.length,
    };
    if (event.key === "Enter") {
      if (this.at >= 0) this.onchoose(this.at);
      event.preventDefault();
      return;
    }
    const move = moves[event.key];
    if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (this.at < 0) return this.point(this.from);
    const to = move();
    if (to < this.from || to >= this.from + this.cells.length) this.onleave(to);
    else this.point(to);
  }

  /** The letter above or below. */
  private beside(direction: 1 | -1): number {
    const here = this.cells[this.at - this.from]?.getBoundingClientRect();
    if (!here) return this.at;
    const middle = here.left + here.width / 2;
    let best = -1;
    let row = NaN;
    for (let n = this.at - this.from + direction; n >= 0 && n < this.cells.length; n += direction) {
      const box = this.cells[n]!.getBoundingClientRect();
      if (Math.abs(box.top - here.top) < 4) continue;
      if (Number.isNaN(row)) row = box.top;
      if (Math.abs(box.top - row) > 4) break;
      best = n;
      if (direction === 1 ? box.right >= middle : box.left <= middle) break;
    }
    return best < 0 ? this.at + direction * 40 : this.from + best;
  }

  point(at: number): void {
    this.cells[this.at - this.from]?.classList.remove("here");
    this.at = at;
    this.cells[at - this.from]?.classList.add("here");
    this.onpoint(at);
  }

  get pointed(): number {
    return this.at;
  }

  /** Letters from a position on; with `guesses`, five letters and their shares below each. */
  show(letters: string[], from: number, guesses?: { letters: string[]; shares: Float32Array }): void {
    this.from = from;
    this.heads = [];
    this.painted = [];
    this.root.classList.toggle("guess", guesses !== undefined);
    const part = document.createDocumentFragment();
    this.cells = letters.map((c, n) => {
      const ends = c === "\n";
      if (!guesses) {
        const cell = h("i", { "data-at": from + n }, ends ? "↵" : c);
        part.append(cell, ends ? "\n" : "");
        this.heads.push(cell);
        return cell;
      }
      const head = h("b", { class: "head" }, visible(c));
      const cell = h("i", { "data-at": from + n }, head);
      for (let g = 0; g < 5; g++) {
        const share = guesses.shares[5 * n + g]!;
        const guess = h("b", { style: `background:${tint(share)}` }, visible(guesses.letters[5 * n + g]!));
        if (share < 0.05) guess.classList.add("rare");
        cell.append(guess);
      }
      this.heads.push(head);
      part.append(cell);
      if (ends) part.append(h("br"));
      return cell;
    });
    this.root.replaceChildren(part);
    this.at = -1;
  }

  paint(colour: (n: number) => string): void {
    this.heads.forEach((head, n) => {
      const next = colour(n);
      if (this.painted[n] === next) return;
      this.painted[n] = next;
      head.style.background = next;
    });
  }
}
