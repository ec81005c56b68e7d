/** Twelve images on a line: a deep AE with one number knows them by heart. A slider along the line. */

import { heartErrors, TWELVE } from './claims.js';
import { h, paint, pictureCanvas, setText } from './dom.js';
import { labelledSlider, telling } from './tiles.js';

const STEPS = 50; // between two images

export async function makeLine(material) {
  const [images, model] = [await material.images(), await material.model('twelve')];
  const places = Array.from({ length: TWELVE }, (_, i) => ({ image: i, z: model.encode(images.unit(i))[0] })).sort((a, b) => a.z - b.z);
  const decoded = pictureCanvas('Decoded image', { width: 28, height: 28 });
  const said = h('p', { class: 'about' });
  const last = (TWELVE - 1) * STEPS;
  const slider = labelledSlider({ name: 'Place on the line', low: 0, high: last, step: 1, text: (at) => `z = ${codeAt(at).toFixed(2)}`, onInput: show });
  const strip = h('div', { class: 'strip twelve' }, ...places.map(({ image, z }, k) => {
    const canvas = pictureCanvas(`Image ${image} at z = ${z.toFixed(1)}`, { width: 28, height: 28, className: 'sharp' });
    paint(canvas, images.unit(image), [1, 28, 28], 255);
    return h('button', { type: 'button', class: 'bare', 'aria-label': `Image ${image} at z = ${z.toFixed(1)}: go there`, onclick: () => show(k * STEPS) }, canvas);
  }));
  const errors = h('div', { class: 'copies' });
  const element = h('div', { class: 'line ae' }, h('div', { class: 'large' }, decoded), said, slider.element, strip,
    h('p', { class: 'about' }, 'The twelve stand in the order of their codes, with equal room for each.'),
    telling(h('div', {}, h('h2', {}, 'Copies'), errors)));

  /** Equal steps between neighbours, wherever on the line they are. */
  function codeAt(at) {
    const k = Math.min(TWELVE - 2, Math.floor(at / STEPS)), share = at / STEPS - k;
    return places[k].z + share * (places[k + 1].z - places[k].z);
  }

  function show(at) {
    slider.show(at);
    paint(decoded, model.decode([codeAt(at)]), [1, 28, 28], 255);
    const k = Math.floor(at / STEPS);
    setText(said, at % STEPS === 0 ? `image ${places[k].image}, a ${images.labels[places[k].image]}` : `between a ${images.labels[places[k].image]} and a ${images.labels[places[k + 1].image]}`);
  }

  async function showErrors() {
    const { copies, others, perfect, mean } = await heartErrors(material);
    const tile = (title, i, text) => h('figure', { class: 'tile' }, ...[images.unit(i), model.decode(model.encode(images.unit(i)))].map((x, j) => {
      const canvas = pictureCanvas(`${title}: ${j ? 'copy' : 'original'}`, { width: 28, height: 28, className: 'sharp' });
      paint(canvas, x, [1, 28, 28], 255);
      return canvas;
    }), h('figcaption', {}, h('b', {}, title), h('span', {}, text)));
    errors.replaceChildren(
      tile('one of the twelve', 0, `all twelve: ${copies.value.toFixed(1)} nats (perfect ${copies.perfect.toFixed(1)})`),
      ...[0, 1, 2].map((i) => tile('a new image', TWELVE + i, `${model.error(model.encode(images.unit(TWELVE + i)), images.bytes(TWELVE + i)).toFixed(0)} nats`)),
      h('p', { class: 'about' }, `500 new images: ${others.toFixed(0)} nats; perfect copies ${perfect.toFixed(0)}, the mean image for all ${mean.toFixed(0)}.`));
  }
  show(Math.round(last / 2));
  showErrors();
  return { element };
}
