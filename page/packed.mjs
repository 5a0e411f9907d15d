// What is stored in the page, as `src/packed.ts` and `elman show` have it too.

import { gzipSync } from "node:zlib";

export const packed = (content) => sevenBits(gzipSync(content, { level: 9 }));

/**
 * Bytes as text of seven bits a character: an eighth shorter than base64, and UTF-8 still, wherever the page lies. The three
 * that HTML would change or read (NUL, CR, `<`) stand as U+00C0 and after.
 */
export function sevenBits(bytes) {
  const codes = [];
  let [held, bits] = [0, 0];
  const put = (code) => codes.push(code === 0 ? 0xc0 : code === 13 ? 0xc1 : code === 60 ? 0xc2 : code);
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 7) {
      bits -= 7;
      put((held >> bits) & 127);
    }
    held &= (1 << bits) - 1;
  }
  if (bits > 0) put((held << (7 - bits)) & 127);
  let text = "";
  for (const code of codes) text += String.fromCharCode(code);
  return text;
}
