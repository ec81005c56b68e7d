/** The decoded grid: 20 by 20 codes at equal quantiles of the two axes shown, as small images behind the points. */

import { drawPixels } from './dom.js';

const SIDE = 20;
const STRIDE = 147; // coprime to 400: the grid fills in all over at once

/**
 * @param {any} atlas
 * @param {import('./views.js').View} view  one by quantile
 * @param {Float64Array} base  what the plane does not say
 * @returns {{sprite: HTMLCanvasElement, step: () => boolean}} sprite: the unit square of quantiles, transparent where
 *     nothing is decoded yet; step decodes one more image
 */
export function makeGrid(atlas, view, base) {
  const [, height, width] = atlas.shape;
  const sprite = document.createElement('canvas');
  [sprite.width, sprite.height] = [SIDE * width, SIDE * height];
  const context = sprite.getContext('2d');
  let count = 0;
  const step = () => {
    const cell = (count * STRIDE) % (SIDE * SIDE), i = cell % SIDE, j = Math.floor(cell / SIDE);
    const pixels = atlas.decoder.decode(view.toCode((i + 0.5) / SIDE, (j + 0.5) / SIDE, base));
    drawPixels(context, pixels, atlas.shape, 255, i * width, (SIDE - 1 - j) * height);
    count++;
    return count < SIDE * SIDE;
  };
  return { sprite, step };
}
