/** The decoded grid: 20 by 20 codes at equal quantiles of the two axes shown, as small images behind the points. */

import { inTurn } from './decoder.js';

const SIDE = 20;
const STRIDE = 147; // coprime to 400: the grid fills in all over at once
const REST_MS = 250;

/**
 * The grids of both maps.
 * @param {{slices: any, panels: Record<string, any>}} options
 */
export function makeGrids({ slices, panels }) {
  let timer = 0;

  /** Decode them anew, or take them away. */
  function show(which, on) {
    for (const { side, map, view, atlas, base } of which) {
      if (on && view.quantiles) {
        const grid = makeGrid(atlas, view, base);
        map.set({ grid });
        slices.run(`grid ${side}`, grid.step, () => map.drawBehind());
      } else {
        slices.stop(`grid ${side}`);
        if (map.state.grid) map.set({ grid: null });
      }
    }
  }

  /** After the probe has rested: the plane goes through the new code. */
  function soon() {
    clearTimeout(timer);
    timer = setTimeout(() => show(Object.values(panels).filter(({ map }) => map.state.grid), true), REST_MS);
  }
  return { show, soon, stop: () => clearTimeout(timer) };
}

/**
 * @param {any} atlas
 * @param {import('./views.js').View} view  one by quantile
 * @param {Float64Array} base  what the plane does not say
 * @returns {{sprite: HTMLCanvasElement, step: () => boolean|Promise<void>}} sprite: the unit square of quantiles, transparent where
 *     nothing is decoded yet; step decodes one more image
 */
function makeGrid(atlas, view, base) {
  const { width, height, draw } = atlas.items;
  const sprite = document.createElement('canvas');
  [sprite.width, sprite.height] = [SIDE * width, SIDE * height];
  const context = sprite.getContext('2d');
  const wanted = Array.from({ length: SIDE * SIDE }, (_, count) => {
    const cell = (count * STRIDE) % (SIDE * SIDE), i = cell % SIDE, j = Math.floor(cell / SIDE);
    const show = (pixels) => draw(context, pixels, 255, i * width, (SIDE - 1 - j) * height);
    return { decoder: atlas.decoder, z: view.toCode((i + 0.5) / SIDE, (j + 0.5) / SIDE, base), show };
  });
  return { sprite, step: inTurn(wanted) };
}
