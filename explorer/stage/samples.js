/** Rows of ten samples from the same random numbers: an AE from N(0, I) and from its fitted mixture, a VAE from N(0, I). */

import { h, paint, pictureCanvas } from './dom.js';
import { draws, fromMixture } from './random.js';

const COUNT = 10;

/**
 * @param {{slices: any, onSeed: (seed: number) => void, onPick: (side: string, z: Float64Array) => void}} options
 */
export function makeSamples({ slices, onSeed, onPick }) {
  const rows = h('div', { class: 'rows' });
  const seedBox = h('input', { class: 'value', type: 'text', inputmode: 'numeric', 'aria-label': 'Seed of the samples' });
  const again = h('button', { type: 'button' }, 'Resample');
  const element = h('section', { class: 'block', 'aria-label': 'Samples' },
    h('header', {}, h('h2', {}, 'Samples'), h('span', { class: 'about' }, 'same random numbers'),
      h('label', { class: 'seed' }, 'seed ', seedBox), again),
    rows);

  let seed = 0;
  again.addEventListener('click', () => onSeed((seed + 1) % 2 ** 32));
  seedBox.addEventListener('keydown', (event) => event.stopPropagation());
  seedBox.addEventListener('change', () => {
    const typed = Number(seedBox.value);
    if (/^\d+$/.test(seedBox.value.trim()) && typed < 2 ** 32) onSeed(typed);
    else seedBox.value = String(seed);
  });

  /** @param {Array<{side: string, kind: string, title: string, atlas: any}>} models  left and right */
  function show(models, newSeed) {
    seed = newSeed;
    seedBox.value = String(seed);
    const numbers = draws(seed, COUNT, models[0].atlas.d);
    const made = models.flatMap((model) => distributions(model)).map((row) => makeRow(row, numbers, onPick));
    if (rows.childElementCount !== made.length) rows.replaceChildren(...made.map((row) => row.element));
    else made.forEach((row, i) => rows.children[i].replaceWith(row.element));
    const work = made.flatMap((row) => row.work);
    slices.run('samples', () => {
      work.shift()();
      return work.length > 0;
    });
  }
  return { element, show };
}

/** The distributions a model is sampled from. What an AE lacks is a known one, so it is shown with and without help. */
function distributions({ side, kind, title, atlas }) {
  const prior = { side, kind, title, atlas, from: 'N(0, I)', code: ({ eps }) => eps };
  const mixture = { side, kind, title, atlas, from: 'a mixture fitted to its codes', code: (draw) => fromMixture(atlas, draw) };
  return atlas.model.model === 'ae' ? [prior, mixture] : [prior];
}

function makeRow({ side, kind, title, atlas, from, code }, numbers, onPick) {
  const [, height, width] = atlas.shape;
  const canvases = numbers.map((_, i) => pictureCanvas(`${kind} sample ${i + 1} from ${from}`, { width, height }));
  const buttons = canvases.map((canvas, i) =>
    h('button', { type: 'button', class: 'bare', title: 'Put the probe here', onclick: () => onPick(side, code(numbers[i])) }, canvas));
  return {
    element: h('div', { class: `row ${atlas.model.model}` },
      h('span', { class: 'row-name' }, h('b', {}, title), ` from ${from}`), h('span', { class: 'strip ten' }, ...buttons)),
    work: canvases.map((canvas, i) => () => paint(canvas, atlas.decoder.decode(code(numbers[i])), atlas.shape, 255)),
  };
}
