// A model that `elman show` put into the page.

import { part } from "./rpc";

export interface Given {
  /** The file's name. */
  name: string;
  task: string;
  /** A text or data beside it; may be empty. */
  text: string;
  labels: string[];
}

export function given(): Given | null {
  const json = part("given");
  return json === "" ? null : (JSON.parse(json) as Given);
}
