// What is stored in the page: compressed, as text.

import { gunzipSync } from "fflate";

/** Seven bits in each character; what a page cannot hold stands elsewhere (see page/bundle.mjs). */
const bytesOf = (text: string): Uint8Array => {
  const bytes = new Uint8Array(Math.floor((text.length * 7) / 8));
  let [held, bits, at] = [0, 0, 0];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    held = (held << 7) | (code < 128 ? code : [0, 13, 60][code - 192]!);
    bits += 7;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = held >> bits;
      held &= (1 << bits) - 1;
    }
  }
  return bytes;
};

export const unpacked = (text: string): Uint8Array => gunzipSync(bytesOf(text));
