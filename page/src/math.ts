// Equations as MathML, from a line of text: names separated by blanks, `_` for an index, `^` for a power.

const MATH = "http://www.w3.org/1998/Math/MathML";

const node = (tag: string, ...children: (Node | string)[]): Element => {
  const element = document.createElementNS(MATH, tag);
  element.append(...children);
  return element;
};

const NAME = /^([A-Za-zα-ωΣΑ-Ωℓ∂1]+)(?:_([^^]+))?(?:\^(.+))?$/u;

function name(text: string): Element {
  const upright = text.length > 1 && !/^∂./u.test(text);
  const element = node("mi", text);
  if (upright) element.setAttribute("mathvariant", "normal");
  return element;
}

/** `h_t = tanh ( W_hh h_t−1 + W_xh x_t )` */
export function equation(line: string): Element {
  const row = node("mrow");
  for (const token of line.split(" ")) {
    const found = NAME.exec(token);
    if (/^\d+(\.\d+)?$/.test(token)) row.append(node("mn", token));
    else if (!found) row.append(node("mo", token));
    else {
      const [, base = "", low, high] = found;
      const parts: Element[] = [/^Σ$/.test(base) ? node("mo", base) : name(base)];
      if (low) parts.push(node("mtext", low));
      if (high) parts.push(node("mtext", high));
      const tag = low && high ? "msubsup" : low ? "msub" : high ? "msup" : "";
      row.append(tag ? node(tag, ...parts) : parts[0]!);
    }
  }
  const math = node("math", row);
  math.setAttribute("display", "block");
  return math;
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
