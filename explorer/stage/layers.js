/**
 * The layers behind the points: what each says of a place of a map, on what scale. Knows nothing of the page.
 *
 * work(atlas, view, base, judge) gives what a field needs: see field.js. labels: at the start, the middle and the end of
 * the scale. beyond: what lies past it, if that is shown. most: how opaque the end of the scale is. decodes: whether it needs
 * the decoder.
 */

import { codeOf, HOLE, nearestCode, shareNearer } from './latent.js';
import { makeNearestImage } from './nearest.js';

const STRETCH_CODES = 64, STEP = 1e-3, MOST_STRETCH = 4;
const MOST_UNCERTAIN = 0.6, MOST_DISTANCE = 2;

export const LAYERS = {
  holes: {
    labels: ['0 %', '50 %', '99 %'],
    beyond: 'a hole',
    most: 0.3,
    meaning: ({ n }) => `Farther from any of the ${count(n)} codes than this share of real images is from its neighbour, in all dimensions. A hole: than 99 %.`,
    work: holes,
  },
  stretch: {
    labels: ['¼ ×', 'the median', '4 ×'],
    most: 0.6,
    meaning: ({ d }) => `How far the decoded image moves for a step of one spread of the codes${d > 2 ? ', in this plane only' : ''}; ` +
      `the median is that of ${STRETCH_CODES} codes from all over.`,
    work: stretch,
    decodes: true,
  },
  uncertainty: {
    labels: ['0 %', `${50 * MOST_UNCERTAIN} %`, `${100 * MOST_UNCERTAIN} %`],
    most: 0.6,
    meaning: () => 'How far the classifier is from being sure what the decoded image is: 100 % less its top probability.',
    work: uncertainty,
    decodes: true,
    judged: true,
  },
  distance: {
    labels: ['0 ×', 'usual', `${MOST_DISTANCE} ×`],
    most: 0.6,
    meaning: ({ n }) => `How far the pixels of the decoded image are from the nearest of ${count(Math.min(n, 2000))} real ones. ` +
      'Usual: the median from a real one to its nearest other.',
    work: distance,
    decodes: true,
    pictured: true,
  },
};

function count(n) {
  return n.toLocaleString('en');
}

/** Nothing has to be known beforehand. */
function* nothing() {}

function holes(atlas, view, base) {
  const at = (x, y) => {
    const share = shareNearer(atlas, nearestCode(atlas, view.toCode(x, y, base)).distance);
    return share > HOLE ? 2 : share / HOLE;
  };
  return { prepare: nothing(), at };
}

function stretch(atlas, view, base) {
  const steps = [[STEP * spread(view.x), 0], ...(view.lanes ? [] : [[0, STEP * spread(view.y)]])];
  const still = new Float64Array(atlas.pixels);
  const moved = (x, y, from) => {
    still.set(atlas.decoder.decode(view.toCode(x, y, from)));
    return Math.sqrt(steps.reduce((sum, [dx, dy]) => sum + squares(atlas.decoder.decode(view.toCode(x + dx, y + dy, from)), still), 0)) / STEP;
  };
  let median = NaN;
  function* prepare() {
    const sample = [];
    for (let k = 0; k < STRETCH_CODES; k++) {
      const i = Math.floor(((k + 0.5) * atlas.n) / STRETCH_CODES);
      sample.push(moved(view.x[i], view.y[i], codeOf(atlas, i)));
      yield;
    }
    median = middle(sample);
  }
  const at = (x, y) => clamp(0.5 + Math.log(moved(x, y, base) / median) / Math.log(MOST_STRETCH) / 2);
  return { prepare: prepare(), at };
}

function uncertainty(atlas, view, base, judge) {
  const at = (x, y) => clamp((1 - Math.max(...judge.probabilities(atlas.decoder.decode(view.toCode(x, y, base))))) / MOST_UNCERTAIN);
  return { prepare: nothing(), at };
}

function distance(atlas, view, base) {
  const nearest = makeNearestImage(atlas.images, atlas.pixels);
  const at = (x, y) => clamp(nearest.distance(atlas.decoder.decode(view.toCode(x, y, base))) / nearest.usual() / MOST_DISTANCE);
  return { prepare: nearest.prepare(), at };
}

/** Onto 0…1; a decoder that moves nowhere, or a median of 0, has no place on the scale and stands at its start. */
function clamp(share) {
  return Math.min(1, Math.max(0, share || 0));
}

function squares(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum;
}

function spread(values) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

function middle(values) {
  return Float64Array.from(values).sort()[values.length >> 1];
}
