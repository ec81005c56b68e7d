/** Animated GIF (version 89a) of frames with one palette of 256 colours. Knows nothing of the page. */

const MOST_CODES = 4096, BLOCK = 255;

/** All greys: exact for grey images. */
export const GREYS = Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3));

const STEPS = [6, 7, 6];

/** 6 by 7 by 6 colours. */
export const COLOURS = (() => {
  const [reds, greens, blues] = STEPS, table = new Uint8Array(768);
  for (let i = 0; i < reds * greens * blues; i++) {
    const parts = [Math.floor(i / (greens * blues)), Math.floor(i / blues) % greens, i % blues];
    parts.forEach((part, c) => { table[3 * i + c] = Math.round((255 * part) / (STEPS[c] - 1)); });
  }
  return table;
})();

export function isGrey(rgba) {
  for (let i = 0; i < rgba.length; i += 4) if (rgba[i] !== rgba[i + 1] || rgba[i] !== rgba[i + 2]) return false;
  return true;
}

/** Places in a palette of pixels, RGBA without transparency. */
export function indexed(rgba, palette) {
  const out = new Uint8Array(rgba.length / 4), at = (i, c) => Math.round((rgba[4 * i + c] / 255) * (STEPS[c] - 1));
  for (let i = 0; i < out.length; i++) out[i] = palette === GREYS ? rgba[4 * i] : (at(i, 0) * STEPS[1] + at(i, 1)) * STEPS[2] + at(i, 2);
  return out;
}

/**
 * @param {{width: number, height: number, palette: Uint8Array}} size
 * @returns {{add: (pixels: Uint8Array, ms: number) => void, blob: () => Blob}} pixels: places in the palette, row by row
 */
export function makeGif({ width, height, palette }) {
  const word = (value) => [value & 255, value >> 8];
  const parts = [Uint8Array.of(...ascii('GIF89a'), ...word(width), ...word(height), 0xf7, 0, 0, ...palette,
    0x21, 0xff, 11, ...ascii('NETSCAPE2.0'), 3, 1, 0, 0, 0)];
  return {
    add(pixels, ms) {
      parts.push(Uint8Array.of(0x21, 0xf9, 4, 4, ...word(Math.round(ms / 10)), 0, 0, 0x2c, 0, 0, 0, 0, ...word(width), ...word(height), 0, 8), packed(pixels));
    },
    blob: () => new Blob([...parts, Uint8Array.of(0x3b)], { type: 'image/gif' }),
  };
}

function ascii(text) {
  return Array.from(text, (letter) => letter.charCodeAt(0));
}

/** LZW with codes of 9 to 12 bits, least significant bit first, in blocks of at most 255 bytes and an empty one. */
function packed(pixels) {
  const clear = 256, end = 257, bytes = [];
  let known = new Map(), next = end + 1, bits = 9, held = 0, count = 0;
  const put = (code) => {
    held |= code << count;
    for (count += bits; count >= 8; count -= 8, held >>>= 8) bytes.push(held & 255);
  };
  put(clear);
  let run = pixels[0];
  for (let i = 1; i < pixels.length; i++) {
    const key = (run << 8) | pixels[i], longer = known.get(key);
    if (longer !== undefined) {
      run = longer;
      continue;
    }
    put(run);
    run = pixels[i];
    if (next < MOST_CODES) {
      known.set(key, next);
      if (next++ === 1 << bits) bits++;
    } else {
      put(clear);
      [known, next, bits] = [new Map(), end + 1, 9];
    }
  }
  put(run);
  put(end);
  if (count) bytes.push(held & 255);
  const out = [];
  for (let i = 0; i < bytes.length; i += BLOCK) out.push(Math.min(BLOCK, bytes.length - i), ...bytes.slice(i, i + BLOCK));
  return Uint8Array.from([...out, 0]);
}
