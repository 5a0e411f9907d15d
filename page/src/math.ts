// Equations as MathML, from a line of text: names separated by blanks, `_` for an index, `^` for a power.

const MATH = "http://www.w3.org/1998/Math/MathML";

const node = (tag: string, ...children: (Node | string)[]): Element => {
  const element = document.createElementNS(MATH, tag);
  element.append(...children);
  return element;
};

const NAME = /^([A-Za-zα-ωΣΑ-Ωℓ∂1]+)(?:_([^^]+))?(?:\^(.+))?$/u;

function name(text: string): Element {
  const element = node("mi", text);
  // Single letters slant by style: as characters of mathematics `h` is missing in many fonts.
  element.setAttribute("mathvariant", "normal");
  if (text.length === 1 || text.startsWith("∂")) element.setAttribute("class", "slanted");
  return element;
}

/** A name with its index and power. */
function named(token: string): Element {
  const [, base = token, low, high] = NAME.exec(token) ?? [];
  const parts: Element[] = [base === "Σ" ? node("mo", base) : name(base)];
  if (low) parts.push(node("mtext", low));
  if (high) parts.push(node("mtext", high));
  const tag = low && high ? "msubsup" : low ? "msub" : high ? "msup" : "";
  return tag ? node(tag, ...parts) : parts[0]!;
}

/** `h_t = tanh ( W_hh h_t−1 + W_xh x_t )` */
export function equation(line: string): HTMLElement {
  const row = node("mrow");
  for (const token of line.split(" ")) {
    const [above = "", below] = token.split("/");
    if (below) row.append(node("mfrac", named(above), named(below)));
    else if (/^\d+$/.test(token)) row.append(node("mn", token));
    else row.append(NAME.test(token) ? named(token) : node("mo", token));
  }
  const math = node("math", row);
  math.setAttribute("displaystyle", "true");
  const box = document.createElement("div");
  box.append(math);
  return box;
}

/** Several equations, one below another. */
export function equations(lines: string[]): HTMLElement {
  const box = document.createElement("div");
  box.className = "equations";
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  for (const line of lines) box.append(equation(line));
  return box;
}
