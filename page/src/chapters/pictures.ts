// The five forms that a network over time has, each at work.

import { chapter } from "../parts";
import { digit } from "../pictures/digit";
import { numbers } from "../pictures/numbers";
import { scene } from "../pictures/scene";
import { sentence } from "../pictures/sentence";
import { stroke } from "../pictures/stroke";
import { t } from "../text";

const CODE = `// any of them
let model = elman::open("digit.safetensors")?;
// a class, a text with its attention, a label for each step
let answers = model.predict(input, &options)?;
// or step by step, as it comes
let mut stream = model.stream()?;`;

export function picturesChapter(): HTMLElement {
  const w = t();
  const { root } = chapter(
    "pictures",
    5,
    w.picturesTitle,
    w.picturesLead,
    ["α_ts = softmax_s ( v^⊤ tanh ( W_q q_t + W_m m_s + b ) )", "c_t = Σ_s α_ts m_s"],
    CODE,
  );
  root.append(digit(), scene(), sentence(), numbers(), stroke());
  return root;
}
