/** What an item of a data set looks like: pixels, or for the row of a table its numbers. Chosen once, by the model's data. */

import { drawPixels, paint, pictureCanvas } from './dom.js';
import { makeNumbers } from './numbers.js';

/**
 * @typedef {{element: HTMLElement, paint: (values: ArrayLike<number>, scale: number) => void,
 *            mark: (values: ArrayLike<number>, scale: number) => void}} Picture
 *   paint: show these values, [C, H, W]; scale: what one unit is in 0…255. mark: show beside them another item's; pixels have
 *   no room for it.
 */

/**
 * @typedef {{small: (name: string, options?: {className?: string}) => Picture, large: (name: string, options?: {className?: string}) => Picture,
 *            draw: (context: CanvasRenderingContext2D, values: ArrayLike<number>, scale: number, left: number, top: number) => void,
 *            width: number, height: number, noun: string, measured: string, one: string, note: string}} Items
 *   small, large: a picture under an accessible name, for a row of many or for one alone. draw: into a larger canvas, width by
 *   height. noun, measured, one, note: what an item is called, what its error is measured on and what one of these is, how its
 *   picture is read.
 */

/**
 * @param {{image_shape: number[], features?: import('./numbers.js').Feature[]}} model
 * @returns {Items}
 */
export function makeItems(model) {
  return isTable(model) ? makeNumbers(model.features) : makePixels(model.image_shape);
}

/** Whether a model learned rows of a table rather than images. */
export function isTable({ image_shape: shape, features = [] }) {
  return features.length > 0 && features.length === shape[2];
}

function makePixels(shape) {
  const [, height, width] = shape;
  const picture = (name, { className = '' } = {}) => {
    const element = pictureCanvas(name, { width, height, className: width === height ? className : `${className} oblong` });
    return { element, paint: (values, scale) => paint(element, values, shape, scale), mark: () => {} };
  };
  return {
    small: picture,
    large: picture,
    draw: (context, values, scale, left, top) => drawPixels(context, values, shape, scale, left, top),
    width, height, noun: 'image', measured: shape[0] === 3 ? 'colour values' : 'grey pixels',
    one: shape[0] === 3 ? 'colour value' : 'pixel', note: '',
  };
}
