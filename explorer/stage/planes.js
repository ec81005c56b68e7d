/** A linear autoencoder that trains while one looks, beside PCA: errors, the angle of their planes, their axes. */

import { makeChart } from './chart.js';
import { LINEAR, squaredError } from './claims.js';
import { h, paint, pictureCanvas, setText } from './dom.js';
import { angleBetween, centred, makeLinear, principal, principalAngles, projectionError } from './linear.js';
import { breathe } from './material.js';
import { copyTile, telling } from './tiles.js';

const EVERY = 6, THOUSAND = 1000;

export async function makePlanes(material) {
  const [images, deep] = [await material.images(), await material.model('mnist-ae-2')];
  const data = centred(images, LINEAR.images);
  const errors = makeChart({ title: 'Squared error', unit: 'a thousandth, a pixel', across: 'step' });
  const angles = makeChart({ title: 'Angles between the two planes', unit: 'degrees', across: 'step' });
  const status = h('span', { class: 'about', role: 'status' });
  const again = h('button', { type: 'button', onclick: train }, 'Train again');
  const axes = h('div', { class: 'copies' }), copies = h('div', { class: 'copies' });
  const element = h('div', {}, h('div', { class: 'picture-tools' }, again, status),
    telling(h('div', { class: 'two-charts' }, errors.element, angles.element)),
    h('h2', {}, 'Axes of the plane'), axes, telling(h('div', {}, h('h2', {}, 'Copies with two numbers'), copies)));
  let seed = -1, run = 0, isGone = false, basis = null, ofPca = [], pca = 0;

  /** PCA goes first, and ends when the reader has gone on. */
  const known = (async () => {
    setText(status, 'computing PCA …');
    basis = await principal(data, async () => {
      await breathe();
      if (isGone) throw new Error('no longer wanted');
    });
    pca = projectionError(data, basis);
    axes.replaceChildren(...(ofPca = basis.map((row, k) => axisTile(`PCA’s axis ${k + 1}`, row, 'at right angles to the other'))));
    setText(status, '');
  })();
  known.catch(() => {});

  async function train() {
    const mine = ++run;
    await known;
    const model = makeLinear(data, ++seed), curve = [], [wide, narrow] = [[], []];
    for (let step = 0; step <= LINEAR.steps && mine === run; step++) {
      const isShown = step % EVERY === 0;
      if (isShown) {
        const [first, second] = principalAngles(model.decoder, basis);
        wide.push([step, second]);
        narrow.push([step, first]);
      }
      const error = model.step(Math.min(1, step / LINEAR.steps));
      if (!isShown) continue;
      curve.push([step, THOUSAND * error]);
      errors.show([{ name: 'linear AE', kind: 'ae', dashed: false, points: curve }, { name: 'PCA', kind: '', dashed: true, points: [[0, THOUSAND * pca], [step, THOUSAND * pca]] }]);
      angles.show([{ name: 'larger', kind: 'ae', dashed: false, points: wide }, { name: 'smaller', kind: 'ae', dashed: true, points: narrow }]);
      showAxes(model);
      setText(status, `random weights no. ${seed + 1}, step ${step} of ${LINEAR.steps}`);
      await breathe();
    }
  }

  function showAxes(model) {
    const turned = model.decoder.map((row) => Math.min(...basis.map((axis) => angleBetween(row, axis))));
    axes.replaceChildren(...ofPca,
      ...model.decoder.map((row, k) => axisTile(`the AE’s axis ${k + 1}`, row, `${turned[k].toFixed(0)}° from the nearer of PCA’s`, 'ae')));
    const x = images.unit(0), tile = (title, x_hat, kind) => copyTile(title, x_hat, `squared error ${squaredError(x_hat, x).toFixed(4)}`, kind);
    copies.replaceChildren(copyTile('the original', x, 'test image 0'), tile('PCA', projected(data, basis, basis, x)),
      tile('linear AE', projected(data, model.encoder, model.decoder, x), 'ae'), tile('deep AE', deep.decode(deep.encode(x)), 'ae'));
  }

  return { element, opened: () => train().catch(() => {}), destroy: () => { isGone = true; run++; } };
}

/** mean + decoder^T encoder (x - mean), within [0, 1]. */
function projected({ mean }, encoder, decoder, x) {
  const z = encoder.map((row) => row.reduce((sum, value, i) => sum + value * (x[i] - mean[i]), 0));
  return Float64Array.from(mean, (value, i) => Math.min(1, Math.max(0, value + decoder[0][i] * z[0] + decoder[1][i] * z[1])));
}

/** A direction among images: white adds, black takes away, grey leaves as it is. */
function axisTile(title, row, text, kind = '') {
  const most = Math.max(...row.map(Math.abs)) || 1, canvas = pictureCanvas(title, { width: 28, height: 28, className: 'sharp' });
  paint(canvas, row.map((value) => 0.5 + value / most / 2), [1, 28, 28], 255);
  return h('figure', { class: `tile ${kind}` }, canvas, h('figcaption', {}, h('b', {}, title), h('span', {}, text)));
}
