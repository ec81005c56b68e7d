/** One held-out image in both models: the original, its code, its reconstruction by each, and the error of each. */

import { imageOf } from './atlas.js';
import { reconError, whenDecoded } from './decoder.js';
import { h, setText, short } from './dom.js';
import { codeOf } from './latent.js';

const SHOWN_DIMS = 4;

/** @param {{onImage: (index: number) => void}} options */
export function makeInspect({ onImage }) {
  const about = h('span', { class: 'about' });
  const tiles = h('div', { class: 'tiles' }), note = h('span');
  let index = 0, n = 1;
  const button = (text, to) => h('button', { type: 'button', onclick: () => onImage(to()) }, text);
  const element = h('section', { class: 'block', 'aria-label': 'One image in both models' },
    h('header', {}, h('h2', {}, 'One image'), about,
      button('Previous', () => (index + n - 1) % n), button('Next', () => (index + 1) % n)),
    tiles,
    h('p', { class: 'tools about' }, 'Ringed on the maps. Press a point to see its image here. ', note));

  /** @param {Array<{kind: string, atlas: any}>} models  left and right */
  function show(models, newIndex, classes) {
    index = newIndex;
    const { atlas } = models[0];
    n = Math.min(...models.map((model) => model.atlas.n));
    const bytes = imageOf(atlas, index);
    if (!bytes) return;
    setText(about, `test ${atlas.items.noun} ${index}, class ${classes[atlas.labels[index]]}`);
    setText(note, atlas.items.note);
    const original = atlas.items.large('Original image', { className: 'sharp' });
    original.paint(bytes, 1);
    tiles.replaceChildren(
      tile('the original', original.element, [`a perfect copy: ${perfectCopy(bytes).toFixed(1)} nats`]),
      ...models.map((model) => reconstruction(model, index, bytes)));
  }
  return { element, show };
}

function reconstruction({ kind, atlas }, index, bytes) {
  const z = codeOf(atlas, index);
  const picture = atlas.items.large(`${kind} reconstruction`);
  const error = h('span', {}, 'error …');
  whenDecoded(atlas.decoder, z, (x_hat) => {
    picture.paint(x_hat, 255);
    picture.mark(bytes, 1);
    setText(error, `error ${reconError(atlas.decoder.logits(z), bytes).toFixed(1)} nats`);
  });
  const code = Array.from(z.subarray(0, SHOWN_DIMS), short).join(', ') + (z.length > SHOWN_DIMS ? ', …' : '');
  return tile(`by the ${kind}`, picture.element, [error, `code (${code})`], atlas.model.model);
}

function tile(title, picture, lines, kind = '') {
  return h('figure', { class: `tile ${kind}` }, picture,
    h('figcaption', {}, h('b', {}, title), ...lines.map((line) => h('span', {}, line))));
}

/** The error of an image (bytes) that is copied exactly, in nats: the entropy of its grey pixels. */
export function perfectCopy(bytes) {
  let sum = 0;
  for (const byte of bytes) sum += ENTROPY[byte];
  return sum;
}

const ENTROPY = Float64Array.from({ length: 256 }, (_, byte) => {
  const x = byte / 255;
  return byte === 0 || byte === 255 ? 0 : -x * Math.log(x) - (1 - x) * Math.log(1 - x);
});
