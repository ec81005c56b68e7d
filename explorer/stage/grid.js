/** The decoded grid: 20 by 20 codes at equal quantiles of the two axes shown, as small images behind the points. */

import { drawPixels } from './dom.js';

const SIDE = 20;
const STRIDE = 147; // coprime to 400: the grid fills in all over at once

/**
 * @param {any} atlas
 * @param {import('./views.js').View} view
 * @param {Float64Array} base  what the plane does not say
 * @returns {{sprite: HTMLCanvasElement, cells: any[], side: number[], step: () => boolean}} step decodes one more cell
 */
export function makeGrid(atlas, view, base) {
  const [, height, width] = atlas.shape;
  const sprite = document.createElement('canvas');
  [sprite.width, sprite.height] = [SIDE * width, SIDE * height];
  const context = sprite.getContext('2d');
  const edge = (i) => view.atQuantiles(clampEdge(i / SIDE), clampEdge(i / SIDE));
  const edges = Array.from({ length: SIDE + 1 }, (_, i) => edge(i));
  const middles = Array.from({ length: SIDE }, (_, i) => view.atQuantiles((i + 0.5) / SIDE, (i + 0.5) / SIDE));
  const cells = Array.from({ length: SIDE * SIDE }, (_, index) => {
    const i = index % SIDE, j = Math.floor(index / SIDE);
    return {
      x0: edges[i][0], x1: edges[i + 1][0], y0: edges[j][1], y1: edges[j + 1][1],
      x: middles[i][0], y: middles[j][1], left: i * width, top: j * height, done: false,
    };
  });
  let count = 0;
  const step = () => {
    const cell = cells[(count * STRIDE) % cells.length];
    const pixels = atlas.decoder.decode(view.toCode(cell.x, cell.y, base));
    drawPixels(context, pixels, atlas.shape, 255, cell.left, cell.top);
    cell.done = true;
    count++;
    return count < cells.length;
  };
  return { sprite, cells, side: [width, height], step };
}

function clampEdge(u) {
  return Math.min(0.999, Math.max(0.001, u));
}
