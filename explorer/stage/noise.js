/** Noise on an image in [0, 1], as explorer/labs/denoise.py has it; the same seed gives the same noise at every level. */

import { normals, uniforms } from './random.js';

export const NOISES = [
  { value: 'gaussian', text: 'Gaussian' }, { value: 'salt and pepper', text: 'salt and pepper' }, { value: 'occlusion', text: 'occlusion' },
];

/**
 * @param {ArrayLike<number>} x  [side * side]
 * @param {{noise: string, level: number, seed: number}} options  level: standard deviation, share of pixels or of the side
 */
export function addNoise(x, { noise, level, seed }) {
  const side = Math.sqrt(x.length);
  if (noise === 'gaussian') {
    const eps = normals(uniforms(seed));
    return Float64Array.from(x, (value) => Math.min(1, Math.max(0, value + level * eps())));
  }
  const chance = uniforms(seed);
  if (noise === 'salt and pepper') {
    return Float64Array.from(x, (value) => {
      const [hit, white] = [chance() < level, chance() < 0.5]; // both are drawn for every pixel, so that a level adds to the last
      return hit ? Number(white) : value;
    });
  }
  const hidden = Math.round(level * side), top = Math.floor(chance() * (side - hidden + 1)), left = Math.floor(chance() * (side - hidden + 1));
  const inside = (at, from) => at >= from && at < from + hidden;
  return Float64Array.from(x, (value, i) => (inside(Math.floor(i / side), top) && inside(i % side, left) ? 0 : value));
}
