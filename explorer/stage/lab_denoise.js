/** Denoise: images or a drawing, noise by a slider, and what the network makes of it, all in the same frame. */

import { CONV_MAKERS } from './classifier.js';
import { chain } from './decoder.js';
import { choice, h, paint, pictureCanvas, setText } from './dom.js';
import { makeErrors } from './lab_errors.js';
import { makeRun } from './lab_run.js';
import { addNoise, NOISES } from './noise.js';
import { makePad } from './pad.js';
import { labelledSlider } from './tiles.js';

const SHOWN = 8, MOST = 0.6, SHAPE = [1, 28, 28];

/** The network: x [784] in [0, 1] -> x_hat. */
export function makeDenoiser(layers, weights) {
  const { run } = chain(layers.filter(({ kind }) => kind !== 'sigmoid'), weights, SHAPE, CONV_MAKERS);
  return (x) => Float64Array.from(run(x), (value) => 1 / (1 + Math.exp(-value)));
}

export async function makeDenoise(material) {
  const { query } = material, shipped = await material.result('denoise'), { dataset, layers } = shipped.record;
  const images = await material.held(dataset);
  const places = images.n - SHOWN + 1;
  const state = {
    noise: query.one('noise', NOISES.map(({ value }) => value)), level: query.number('level', 0, MOST, 0.2),
    from: query.number('from', 0, images.n - SHOWN, 0), seed: 0, runs: 0, network: null, result: shipped,
  };
  const columns = Array.from({ length: SHOWN }, (_, k) => makeColumn(`image ${k + 1}`));
  const own = makeColumn('your drawing');
  const pad = makePad({ name: 'Your drawing', onDraw: showOwn });
  const drawing = h('details', { class: 'lab-own', ontoggle: showOwn }, h('summary', {}, 'Draw your own'), h('div', { class: 'picture-tools' }, pad.element, own.element));
  const noises = choice('Noise', NOISES, state.noise, (value) => { state.noise = value; query.set({ noise: value }); noises.show(value); show(); });
  const slider = labelledSlider({
    name: 'Noise level', low: 0, high: MOST, step: 0.01,
    text: (value) => (state.noise === 'gaussian' ? `sd ${value.toFixed(2)}` : `${Math.round(100 * value)} %`),
    onInput: (value) => { state.level = value; query.set({ level: value }); show(); },
  });
  const summary = h('p', { class: 'formula', role: 'status' }), picked = h('span', { class: 'about' });
  const figures = h('table', { class: 'lab-figures' }), said = h('p', { class: 'about' });
  const chart = makeErrors('against the clean image');
  const run = makeRun({
    lab: 'denoise', material, text: 'Train it here with this noise',
    settings: () => ({ dataset, noise: state.noise, level: Math.max(0.05, state.level), epochs: 10, seed: ++state.runs }),
    onStep: ({ figures: news }, arrays) => { use(arrays); chart.add(news); }, onResult: showResult,
    onBack: () => showResult(shipped),
  });

  /** Clean, noisy, denoised, one below the other, and the errors. */
  function makeColumn(name) {
    const canvases = ['clean', 'noisy', 'denoised'].map((kind) => pictureCanvas(`${kind} ${name}`, { width: 28, height: 28, className: 'sharp' }));
    const before = h('span'), after = h('b');
    return { canvases, before, after, element: h('figure', { class: 'tile ae' }, ...canvases, h('figcaption', {}, before, after)) };
  }

  /** Returns both errors. */
  function showColumn({ canvases, before, after }, x, seed) {
    const noisy = addNoise(x, { ...state, seed: state.seed * 1000 + seed }), x_hat = state.network(noisy);
    [x, noisy, x_hat].forEach((pixels, i) => paint(canvases[i], pixels, SHAPE, 255));
    const errors = [noisy, x_hat].map((pixels) => pixels.reduce((sum, value, i) => sum + (value - x[i]) ** 2, 0) / pixels.length);
    setText(before, `noisy ${errors[0].toFixed(4)}`);
    setText(after, `after ${errors[1].toFixed(4)}`);
    return errors;
  }

  function show() {
    slider.show(state.level);
    setText(picked, `test images ${state.from} to ${state.from + SHOWN - 1}`);
    const errors = columns.map((column, k) => showColumn(column, images.unit(state.from + k), k));
    showOwn();
    const [before, after] = [0, 1].map((which) => errors.reduce((sum, one) => sum + one[which], 0) / errors.length);
    setText(summary, `Mean squared error against the clean image: noisy ${before.toFixed(4)}, denoised ${after.toFixed(4)}${after > before ? ': it does harm' : ''}`);
  }

  function showOwn() {
    if (drawing.open) showColumn(own, pad.pixels.data, 99);
  }

  function use(arrays) {
    state.network = makeDenoiser(layers, arrays);
    show();
  }

  function showResult(result) {
    state.result = result;
    use(result.arrays);
    const { record } = result;
    const row = (name, before, after, note) => h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, before.toFixed(4)), h('td', {}, after.toFixed(4)), h('td', { class: 'about' }, note));
    const trained = record.noise === 'gaussian' ? `Gaussian, sd ${record.level}` : `${record.noise}, ${Math.round(100 * record.level)} %`;
    figures.replaceChildren(
      h('caption', {}, 'Mean squared error a pixel against the clean image, held-out images'),
      h('tr', {}, ...['', 'noisy', 'denoised', ''].map((text) => h('th', { scope: 'col' }, text))),
      row(`trained noise: ${trained}`, record.noisy_mse, record.val_mse, `${record.n_train.toLocaleString('en')} images, ${record.epochs} epochs`),
      h('tr', {}, h('th', { scope: 'row' }, 'published: Gaussian, sd 0.2'), h('td', {}, '–'), h('td', {}, record.published_mse.toFixed(4)), h('td', { class: 'about' }, '60,000 images, 10 epochs (TensorFlow’s tutorial)')),
      ...Object.entries(record.others).filter(([kind]) => kind !== record.noise).map(([kind, { before, after }]) => row(`other noise: ${kind}, 0.2`, before, after, after > before ? 'it does harm' : '')),
      row('no noise at all', 0, record.clean_mse, 'what copying alone costs'));
    setText(said, 'It learned one noise. On another, occlusion above all, it may make matters worse: a black square looks like a part of the clothes.');
    chart.show(record.history);
  }

  const step = (text, by) => h('button', { type: 'button', onclick: () => {
    state.from = (state.from + by + places) % places;
    query.set({ from: state.from });
    show();
  } }, text);
  const element = h('div', { class: 'lab' },
    h('div', { class: 'picture-tools' }, noises.element, h('button', { type: 'button', onclick: () => { state.seed++; show(); } }, 'Other noise'), step('Previous images', -SHOWN), step('Next images', SHOWN), picked),
    slider.element, summary,
    h('div', { class: 'lab-denoise' }, h('div', { class: 'row-names' }, ...['clean', 'noisy', 'denoised'].map((text) => h('span', {}, text))),
      h('div', { class: 'lab-row' }, ...columns.map((column) => column.element))),
    drawing,
    h('div', { class: 'lab-columns' }, h('div', {}, figures, said), chart.element), run.element);
  showResult(shipped);
  return { element, destroy: run.destroy };
}
