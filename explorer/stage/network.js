/** An image on its way through encoder, bottleneck and decoder: what every layer really says. And its copy by each size. */

import { SIZES } from './claims.js';
import { choice, h, paint, pictureCanvas } from './dom.js';
import { chooseImage, copyTile } from './tiles.js';

const FIRST_SIZE = 2;

export async function makeNetwork(material) {
  const images = await material.images(), judge = await material.judge();
  const models = Object.fromEntries(await Promise.all(SIZES.map(async (d) => [d, await material.model(`mnist-ae-${d}`)])));
  let image = 0, size = FIRST_SIZE;
  const layers = h('div', { class: 'layers', role: 'img' });
  const copies = h('div', { class: 'copies' });
  const sizes = choice('Size of the code', SIZES.map((d) => ({ value: d, text: String(d) })), size, (d) => { size = Number(d); show(); });
  const again = h('button', { type: 'button', onclick: () => animate() }, '▶ Watch it pass');
  const picker = chooseImage(images, (chosen) => { image = chosen; show(); });
  const element = h('div', {}, h('div', { class: 'picture-tools' }, sizes.element, picker.element, again), layers,
    h('div', { class: 'telling' }, h('h2', {}, 'The same image, copied through a code of …'), copies,
      h('p', { class: 'about' }, 'Errors are in nats, a unit of information like bits (1 nat is 1.44 bits), summed over the pixels; less is better. Since the pixels are grey, even a perfect copy of a digit costs about 45.')));

  function show() {
    sizes.show(size);
    picker.show(image);
    const x = images.unit(image), { encoder, decoder } = models[size].layers(x);
    const code = encoder[encoder.length - 1];
    const steps = [
      ['784 pixels', pixelsOf(x, 28, 28, 1)],
      ...encoder.slice(0, -1).map((values) => [`${values.length} units`, unitsOf(values)]),
      [`code: ${code.length}`, codeBars(code)],
      ...decoder.slice(0, -1).map((values) => [`${values.length} units`, unitsOf(values)]),
      ['784 pixels', pixelsOf(decoder[decoder.length - 1], 28, 28, 1)],
    ];
    layers.setAttribute('aria-label', `Image ${image}, a ${images.labels[image]}, through an autoencoder with a code of ${size}: ${Array.from(code, (value) => value.toFixed(1)).join(', ')}`);
    layers.replaceChildren(...steps.map(([name, drawn], i) => h('figure', { class: i === encoder.length ? 'layer ae middle' : 'layer', style: `--at: ${i}` }, drawn, h('figcaption', {}, name))),
      ...[['encoder', 1, 3], ['bottleneck', 4, 1], ['decoder', 5, 3]].map(([name, first, span]) =>
        h('span', { class: 'half', style: `grid-column: ${first} / span ${span}` }, name)));
    copies.replaceChildren(copyTile('the original', x, `a ${images.labels[image]}`), ...SIZES.map((d) => {
      const z = models[d].encode(x), x_hat = models[d].decode(z);
      return copyTile(`${d} ${d === 1 ? 'number' : 'numbers'}`, x_hat, `error ${models[d].error(z, images.bytes(image)).toFixed(0)} nats, read as ${judge(x_hat).class}`);
    }));
  }

  /** The layers light up one after another. */
  function animate() {
    layers.classList.remove('passing');
    void layers.offsetWidth; // so that the same animation starts anew
    layers.classList.add('passing');
  }

  show();
  animate();
  return { element };
}

function pixelsOf(values, width, height, most) {
  const canvas = pictureCanvas('', { width, height, className: 'sharp' });
  canvas.removeAttribute('role');
  paint(canvas, values, [1, height, width], 255 / (most || 1));
  return canvas;
}

/** A layer's activations as a field of grey squares, the strongest white. */
function unitsOf(values) {
  const width = 2 ** Math.ceil(Math.log2(values.length) / 2);
  return pixelsOf(values, values.length / width, width, Math.max(...values));
}

/** The code as bars, up for positive, down for negative. */
function codeBars(code) {
  const most = Math.max(...code.map(Math.abs), 1e-9);
  return h('span', { class: 'code-bars' }, ...Array.from(code, (value) => {
    const share = (50 * Math.abs(value)) / most;
    return h('i', { style: `height: ${share.toFixed(1)}%; ${value < 0 ? 'top: 50%' : `top: ${(50 - share).toFixed(1)}%`}` });
  }));
}
