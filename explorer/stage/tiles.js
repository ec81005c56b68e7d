/** What the small pictures share: an image with a line below it, buttons for another image, a slider with its value. */

import { h, paint, pictureCanvas, setText } from './dom.js';

/** An image of 784 values in [0, 1] under its title, and a line about it. */
export function copyTile(title, x, text, kind = '') {
  const canvas = pictureCanvas(title, { width: 28, height: 28, className: 'sharp' });
  paint(canvas, x, [1, 28, 28], 255);
  return h('figure', { class: `tile ${kind}` }, canvas, h('figcaption', {}, h('b', {}, title), h('span', {}, text)));
}

/** What gives a scene's answer away: not in sight until it is given. */
export function telling(element) {
  element.classList.add('telling');
  return element;
}

/** Previous and next of the held-out images. */
export function chooseImage(images, onChoose) {
  let at = 0;
  const text = h('span', { class: 'about' });
  const button = (label, step) => h('button', { type: 'button', onclick: () => onChoose((at + step + images.n) % images.n) }, label);
  const show = (index) => {
    at = index;
    setText(text, `test image ${index}`);
  };
  return { element: h('span', { class: 'picker' }, button('Previous image', -1), button('Next image', 1), text), show };
}

/**
 * A native slider with its name before and its value behind it.
 * @param {{name: string, low: number, high: number, step: number, text: (value: number) => string, onInput: (value: number) => void}} options
 */
export function labelledSlider({ name, low, high, step, text, onInput }) {
  const input = h('input', { type: 'range', min: low, max: high, step, 'aria-label': name });
  const said = h('output', {});
  const show = (value) => {
    input.value = String(value);
    setText(said, text(value));
    input.setAttribute('aria-valuetext', said.textContent);
  };
  input.addEventListener('input', () => onInput(input.valueAsNumber));
  return { element: h('label', { class: 'labelled' }, h('span', {}, name), input, said), show };
}
