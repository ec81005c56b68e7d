/** Heartbeats that a person brings: read, scaled, copied. Knows nothing of the page. */

import { chain } from './decoder.js';

const LENGTH = 140;

/** The 140 numbers of one heartbeat out of a text. The error of any other text is a sentence for the screen. */
export function readSeries(text) {
  const given = text.trim().split(/[\s,;]+/).filter((word) => word !== '');
  if (!given.length) throw new Error('There is nothing to read: paste 140 numbers, with commas, spaces or tabs between.');
  const values = given.map(Number), wrong = values.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0) throw new Error(`“${given[wrong].slice(0, 20)}”, number ${wrong + 1}, is not a finite number: 140 numbers were expected.`);
  if (values.length !== LENGTH) throw new Error(`A heartbeat has ${LENGTH} numbers, this one has ${values.length.toLocaleString('en')}.`);
  return values;
}

/** In the units that the models know; the heartbeats of training lie in [0, 1]. */
export function scaled(values, { minimum, maximum }) {
  return Float64Array.from(values, (value) => (value - minimum) / (maximum - minimum));
}

/** The copy of a scaled heartbeat [140] by the AE, or by the VAE from its mean. */
export function posteriorMean(arrays, kind, series) {
  const half = (name) => [0, 2, 4].flatMap((i) => [{ kind: 'linear', weight: `${kind}.${name}.${i}.weight`, bias: `${kind}.${name}.${i}.bias` }, ...(i < 4 ? [{ kind: 'relu' }] : [])]);
  const mu = Float64Array.from(chain(half('encoder'), arrays, [LENGTH]).run(series)).subarray(0, 8);
  return Float64Array.from(chain(half('decoder'), arrays, [8]).run(mu), (value) => 1 / (1 + Math.exp(-value)));
}
