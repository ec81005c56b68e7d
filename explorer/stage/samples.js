/** Rows of ten samples from the same random numbers: an AE from N(0, I) and from its fitted mixture, a VAE from N(0, I). */

import { inTurn } from './decoder.js';
import { h, strip } from './dom.js';
import { draws, fromMixture } from './random.js';

export const COUNT = 10;

/**
 * @param {{slices: any, onSeed: (seed: number) => void, onPick: (side: string, z: Float64Array) => void,
 *          onProblem: (text: string) => void, onMoreDimensions: (d: number) => void}} options
 */
export function makeSamples({ slices, onSeed, onPick, onProblem, onMoreDimensions }) {
  const rows = h('div', { class: 'rows' });
  const seedBox = h('input', { class: 'value', type: 'text', inputmode: 'numeric', 'aria-label': 'Seed of the samples' });
  const again = h('button', { type: 'button' }, 'Resample');
  const why = h('p', { class: 'tools about' });
  const element = h('section', { class: 'block', 'aria-label': 'Samples' },
    h('header', {}, h('h2', {}, 'Samples'), h('span', { class: 'about' }, 'same random numbers'),
      h('label', { class: 'seed' }, 'seed ', seedBox), again),
    rows, why);

  let seed = 0;
  again.addEventListener('click', () => onSeed((seed + 1) % 2 ** 32));
  seedBox.addEventListener('keydown', (event) => event.stopPropagation());
  seedBox.addEventListener('change', () => {
    const typed = Number(seedBox.value);
    if (/^\d+$/.test(seedBox.value.trim()) && typed < 2 ** 32) onSeed(typed);
    else {
      onProblem(`The seed must be a whole number from 0 to 4,294,967,295, got “${seedBox.value.slice(0, 20)}”.`);
      seedBox.value = String(seed);
    }
  });

  /** @param {Array<{side: string, kind: string, atlas: any}>} models  left and right */
  function show(models, newSeed, dimensions) {
    seed = newSeed;
    explain(why, models, dimensions, onMoreDimensions);
    seedBox.value = String(seed);
    const numbers = draws(seed, COUNT, models[0].atlas.d);
    const made = models.flatMap((model) => distributions(model)).map((row) => makeRow(row, numbers, onPick));
    rows.replaceChildren(...made.map((row) => row.element));
    const work = made.flatMap((row) => row.work);
    slices.run('samples', inTurn(work));
  }
  return { element, show };
}

/** Why the rows differ, or where they do. */
function explain(why, models, dimensions, onMoreDimensions) {
  const most = Math.max(...dimensions);
  const more = models[0].atlas.d < most;
  why.replaceChildren(more ? 'The rows differ more in more dimensions. ' : 'An AE was never told where its codes should lie. A density fitted to them afterwards lets it sample too.');
  if (more) why.append(h('button', { type: 'button', onclick: () => onMoreDimensions(most) }, `See it at ${most} dimensions`));
}

/** The distributions a model is sampled from. What an AE lacks is a known one, so it is shown with and without help. */
export function distributions({ side, kind, atlas }) {
  const prior = { side, kind, atlas, from: 'N(0, I)', fitted: false, code: ({ eps }) => eps };
  const mixture = { side, kind, atlas, from: atlas.mixture.weights.length > 1 ? 'a mixture fitted to its codes' : 'a Gaussian fitted to its codes', fitted: true, code: (draw) => fromMixture(atlas, draw) };
  return atlas.model.model === 'ae' ? [prior, mixture] : [prior];
}

function makeRow({ side, kind, atlas, from, fitted, code }, numbers, onPick) {
  const pictures = numbers.map((_, i) => atlas.items.small(`${kind} sample ${i + 1} from ${from}`));
  return {
    element: h('div', { class: `row ${atlas.model.model} ${fitted ? 'fitted' : ''}` },
      h('span', { class: 'row-name' }, h('b', {}, kind), ` from ${from}`), strip('ten', pictures.map(({ element }) => element), (i) => onPick(side, code(numbers[i])))),
    work: pictures.map((picture, i) => ({ decoder: atlas.decoder, z: code(numbers[i]), show: (x_hat) => picture.paint(x_hat, 255) })),
  };
}
