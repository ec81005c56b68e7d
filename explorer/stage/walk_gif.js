/** The walk as a film: what both models decode on the way from A to B, side by side. */

import { untilDecoded } from './decoder.js';
import { COLOURS, GREYS, indexed, isGrey, makeGif } from './gif.js';
import { breathe } from './material.js';
import { drawn } from './sheet.js';

export const WALK = { steps: 41, side: 224, edge: 16, head: 30, ms: 100, lastMs: 1200 };

/**
 * @param {{models: Array<{kind: string, atlas: any}>, way: Float64Array[][], onStep: (done: number) => void}} options
 *   way: the codes of the models at each step
 */
export async function walkAsGif({ models, way, onStep }) {
  const { steps, side, edge, head } = WALK, [width, height] = [2 * side + 3 * edge, side + head + 2 * edge];
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext('2d', { willReadFrequently: true }), frames = [];
  for (let i = 0; i < steps; i++) {
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
    context.fillStyle = '#222';
    context.font = '600 16px system-ui, sans-serif';
    for (const [k, { kind, atlas }] of models.entries()) {
      const left = edge + k * (side + edge);
      context.fillText(kind, left, head - 4, side);
      context.imageSmoothingEnabled = false;
      const picture = drawn(atlas, await untilDecoded(atlas.decoder, way[i][k]), 255), scale = side / Math.max(picture.width, picture.height);
      context.drawImage(picture, left, head + 4, scale * picture.width, scale * picture.height);
    }
    context.fillRect(edge, height - 8, ((width - 2 * edge) * i) / (steps - 1), 3);
    frames.push(context.getImageData(0, 0, width, height).data);
    onStep(i);
    await breathe();
  }
  const palette = frames.every(isGrey) ? GREYS : COLOURS, gif = makeGif({ width, height, palette });
  for (const [i, frame] of frames.entries()) {
    gif.add(indexed(frame, palette), i < steps - 1 ? WALK.ms : WALK.lastMs);
    onStep(steps + i);
    await breathe();
  }
  return gif.blob();
}
