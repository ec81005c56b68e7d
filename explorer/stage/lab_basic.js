/** Basic: originals over their copies, the error under each; the learning curve; the whole trained again while one looks. */

import { chain } from './decoder.js';
import { choice, h, setText } from './dom.js';
import { makeErrors } from './lab_errors.js';
import { makeRun } from './lab_run.js';
import { copyTile } from './tiles.js';

const SHOWN = 10, EPOCHS = [5, 10, 20];
const LAYERS = [
  { kind: 'linear', weight: '0.weight', bias: '0.bias' }, { kind: 'relu' },
  { kind: 'linear', weight: '2.weight', bias: '2.bias' }, { kind: 'sigmoid' },
];

export async function makeBasic(material) {
  const { query } = material, shipped = await material.result('basic');
  const images = await material.held(shipped.record.dataset);
  const places = images.n - SHOWN + 1;
  const state = { epochs: query.one('epochs', [10, ...EPOCHS]), seed: 0, from: query.number('from', 0, images.n - SHOWN, 0), result: shipped, copy: null };
  const rows = h('div', { class: 'lab-row', role: 'group', 'aria-label': 'Originals and copies' });
  const figures = h('table', { class: 'lab-figures' }), said = h('p', { class: 'about' }), picked = h('span', { class: 'about' });
  const chart = makeErrors('against the image');
  const go = (step) => { state.from = (state.from + step + places) % places; query.set({ from: state.from }); showRows(); };
  const epochs = choice('Epochs', EPOCHS.map((value) => ({ value, text: String(value) })), state.epochs, (value) => { state.epochs = value; query.set({ epochs: value }); epochs.show(value); });
  const wide = material.full[shipped.record.dataset];
  const run = makeRun({
    lab: 'basic', material, text: wide ? 'Train it here on all 60,000' : 'Train it here on 10,000 images',
    settings: () => ({ dataset: shipped.record.dataset, full: wide, epochs: state.epochs, seed: ++state.seed }),
    onStep: ({ figures: news }, arrays) => { use(arrays); chart.add(news, controls()); }, onResult: showResult,
    onBack: () => showResult(shipped),
  });

  function use(arrays) {
    state.copy = chain(LAYERS.slice(0, 3), arrays, [images.pixels]).run;
    showRows();
  }

  function showRows() {
    setText(picked, `test images ${state.from} to ${state.from + SHOWN - 1}`);
    rows.replaceChildren(...Array.from({ length: SHOWN }, (_, k) => pair(state.from + k)));
  }

  function pair(i) {
    const x = images.unit(i), x_hat = Float64Array.from(state.copy(x), (value) => 1 / (1 + Math.exp(-value)));
    const error = x.reduce((sum, value, p) => sum + (value - x_hat[p]) ** 2, 0) / x.length;
    return h('div', { class: 'pair' }, copyTile(images.classes[images.labels[i]], x, 'original'), copyTile('copy', x_hat, `error ${error.toFixed(4)}`, 'ae'));
  }

  function showResult(result) {
    state.result = result;
    use(result.arrays);
    const { record } = result, cell = (value) => h('td', {}, value.toFixed(4));
    const row = (name, value, note) => h('tr', {}, h('th', { scope: 'row' }, name), cell(value), h('td', { class: 'about' }, note));
    figures.replaceChildren(
      h('caption', {}, 'Mean squared error a pixel, held-out images'),
      row('this autoencoder', record.val_mse, `${record.n_train.toLocaleString('en')} images, ${record.epochs} epochs`),
      row('published', record.published_mse, '60,000 images, 10 epochs (TensorFlow’s tutorial)'),
      row('PCA with 64 numbers', record.pca_mse, 'the best linear copy: the control'),
      row('the mean image for all', record.mean_mse, 'no code at all: the floor'));
    const better = record.val_mse < record.pca_mse;
    setText(said, better ? 'One bend (ReLU) in the encoder is enough to beat every linear copy of this size.'
      : 'Here the autoencoder loses to PCA, which has no need to be trained: with few images or epochs its weights are not there yet.');
    chart.show(record.history, controls());
  }

  const controls = () => ({ PCA: state.result.record.pca_mse });

  const button = (text, step) => h('button', { type: 'button', onclick: () => go(step) }, text);
  const element = h('div', { class: 'lab' },
    h('div', { class: 'picture-tools' }, button('Previous images', -SHOWN), button('Next images', SHOWN), picked), rows,
    h('div', { class: 'lab-columns' }, h('div', {}, figures, said), chart.element),
    h('div', { class: 'picture-tools' }, epochs.element), run.element);
  showResult(shipped);
  return { element, destroy: run.destroy };
}
