// The five forms that a network over time has, each at work.

import { chapter } from "../parts";
import { digit } from "../pictures/digit";
import { numbers } from "../pictures/numbers";
import { scene } from "../pictures/scene";
import { sentence } from "../pictures/sentence";
import { stroke } from "../pictures/stroke";
import { t } from "../text";

const CODE = `let model = elman::open("digit.safetensors")?;       // any of them
let answer = model.predict(input, &options)?;        // a class, a text with its attention, labels
let mut stream = model.stream()?;                    // or step by step, as it comes`;

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
