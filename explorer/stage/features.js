/** One image kept as k pixels, as k sums of pixels, as a code of k: and packed without loss. */

import { fromComponents, fromPixels, SIZES, squaredError } from './claims.js';
import { choice, h, setText } from './dom.js';
import { chooseImage, copyTile, telling } from './tiles.js';

export async function makeFeatures(material) {
  const [images, table] = [await material.images(), await material.file('pixels')];
  const deep = Object.fromEntries(await Promise.all(SIZES.map(async (k) => [k, await material.model(`mnist-ae-${k}`)])));
  let image = 0, k = 8;
  const tiles = h('div', { class: 'copies' }), packed = h('p', { class: 'about' });
  const keep = choice('Numbers kept', SIZES.map((value) => ({ value, text: String(value) })), k, (value) => { k = Number(value); show(); });
  const picker = chooseImage(images, (chosen) => { image = chosen; show(); });
  const element = h('div', {}, h('div', { class: 'picture-tools' }, keep.element, picker.element), tiles,
    h('h2', {}, 'Lossless'), packed);

  async function show() {
    keep.show(k);
    picker.show(image);
    const x = images.unit(image), tile = (title, x_hat) => copyTile(title, x_hat, `squared error ${squaredError(x_hat, x).toFixed(4)} a pixel`);
    tiles.replaceChildren(
      copyTile('the original', x, '784 pixels'),
      copyTile(`selection: ${k} pixels`, onlyPixels(table, k, x), 'what is kept'),
      telling(tile('… and the rest guessed', clipped(fromPixels(table, k, x)))),
      telling(tile(`extraction: ${k} sums (PCA)`, clipped(fromComponents(table, k, x)))),
      telling(tile(`extraction: a deep code of ${k}`, deep[k].decode(deep[k].encode(x)))));
    const bytes = Uint8Array.from(images.bytes(image)), shown = image;
    const [small, back] = await gzipAndBack(bytes);
    const same = back.every((byte, i) => byte === bytes[i]) && back.length === bytes.length;
    if (shown === image) setText(packed, `gzip packs the ${bytes.length} bytes of this image into ${small}, and unpacked ${same ? 'every byte is the same' : 'they differ'}. A code of ${k} takes ${4 * k} bytes, and what it drops is gone.`);
  }
  await show();
  return { element };
}

/** The pixels that were kept, the others grey. */
function onlyPixels(table, k, x) {
  const shown = new Float64Array(x.length).fill(0.35);
  for (let i = 0; i < k; i++) shown[table.pixels.data[i]] = x[table.pixels.data[i]];
  return shown;
}

function clipped(x) {
  return x.map((value) => Math.min(1, Math.max(0, value)));
}

/** The packed size, and the bytes that come back. */
async function gzipAndBack(bytes) {
  const through = async (stream, given) => new Uint8Array(await new Response(new Blob([given]).stream().pipeThrough(stream)).arrayBuffer());
  const packed = await through(new CompressionStream('gzip'), bytes);
  return [packed.length, await through(new DecompressionStream('gzip'), packed)];
}
