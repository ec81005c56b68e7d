/** Anomalies (b): images. Both models learned all classes but one; is the one they never saw copied worse? */

import { choice, h, setText } from './dom.js';
import { makeRun } from './lab_run.js';
import { makeScores } from './lab_scores.js';
import { usualThreshold } from './threshold.js';
import { copyTile } from './tiles.js';

const KINDS = ['ae', 'vae'], TITLES = { ae: 'AE', vae: 'VAE' };
const SCORES = [{ value: 'vae', text: 'reconstruction' }, { value: 'vae_elbo', text: '−ELBO' }];
const SETS = [{ value: 'mnist', text: 'MNIST' }, { value: 'fashion-mnist', text: 'Fashion-MNIST' }];

export async function makeOdd(material) {
  const { query, catalogue } = material, digits = [...Array(10).keys()];
  const state = { dataset: 'mnist', odd: query.one('odd', [7, ...digits]), score: { ae: 'ae', vae: query.one('score', ['vae', 'vae_elbo']) }, seed: 0, result: null };
  const scores = Object.fromEntries(KINDS.map((kind) => [kind, makeScores({
    title: `${TITLES[kind]}: what a copy costs`, kind, unit: 'nats an image; the height is the share of each group', names: ['known classes', 'the odd one'], digits: 1, onChange: () => {},
  })]));
  const odd = choice('Never seen', digits.map((value) => ({ value, text: String(value) })), state.odd, (value) => { state.odd = value; query.set({ odd: value }); odd.show(value); if (state.dataset === 'mnist') showShipped(); });
  const set = choice('Data', SETS, state.dataset, (value) => { state.dataset = value; set.show(value); nameClasses(); if (value === 'mnist') showShipped(); });
  const score = choice('Score of the VAE', SCORES, state.score.vae, (value) => { state.score.vae = value; query.set({ score: value }); score.show(value); showScores('vae'); });
  const rows = h('div', { class: 'odd-rows' }), said = h('p', { class: 'about' }), table = h('table', { class: 'lab-figures' });
  const run = makeRun({
    lab: 'odd-one-out', material, text: 'Train both here without this class', settings: () => ({ dataset: state.dataset, odd: state.odd, epochs: 10, seed: ++state.seed }),
    onResult: show, onBack: () => { state.dataset = 'mnist'; set.show('mnist'); nameClasses(); showShipped(); },
  });

  function nameClasses() {
    const { classes } = catalogue.datasets[state.dataset];
    odd.element.querySelectorAll('button').forEach((button, i) => setText(button, classes[i]));
  }

  async function showShipped() {
    const wanted = state.odd;
    try {
      const result = await material.result(`odd-${wanted}`);
      if (wanted === state.odd && state.dataset === 'mnist') show(result);
    } catch ({ message }) {
      setText(said, message); // what was shown last stays
    }
  }

  function show(result) {
    const { record, arrays } = state.result = result, { classes } = record, n = arrays.index.shape[1];
    KINDS.forEach(showScores);
    const names = [`${classes[record.odd]}: copied worst`, `${classes[record.odd]}: copied best`, 'known: copied worst', 'known: copied best'];
    rows.replaceChildren(...names.map((name, row) => h('section', { 'aria-label': name }, h('h2', {}, name), h('div', { class: 'lab-row' }, ...Array.from({ length: Math.min(8, n) }, (_, k) => tile(row * n + k))))));
    const auc = (key) => record.auc[key].toFixed(3);
    table.replaceChildren(
      h('caption', {}, 'Area under ROC: how often an odd one costs more than a known one'),
      ...[['AE', auc('ae')], ['VAE, reconstruction', auc('vae')], ['VAE, −ELBO', auc('vae_elbo')], ['control: how much ink there is', auc('ink')], ['chance', '0.500']].map(([name, value]) => h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, value))));
    setText(said, record.auc.ae < 0.55
      ? 'A trap: this class was never seen and is copied better than the known ones, because it is simple. What an image costs says how complex it is, too.'
      : 'An image costs more if it is unknown, and also if it is complex: the control counts ink alone, and knows nothing of classes.');
  }

  function tile(i) {
    const { index, x, labels, ...arrays } = state.result.arrays, { classes } = state.result.record, image = index.data[i];
    const unit = (array) => Float64Array.from(array.data.subarray(784 * i, 784 * (i + 1)), (byte) => byte / 255);
    return h('div', { class: 'pair' }, copyTile(classes[labels.data[image]], unit(x), `test image ${image}`),
      ...KINDS.map((kind) => copyTile(`${TITLES[kind]}’s copy`, unit(arrays[`recon.${kind}`]), `${arrays[`scores.${kind}`].data[image].toFixed(0)} nats`, kind)));
  }

  function showScores(kind) {
    const { arrays } = state.result, values = Array.from(arrays[`scores.${state.score[kind]}`].data), isOdd = Array.from(arrays.is_odd.data);
    scores[kind].show(values, isOdd, usualThreshold(values.filter((_, i) => !isOdd[i])));
  }

  const element = h('div', { class: 'lab' },
    h('div', { class: 'picture-tools' }, odd.element, score.element),
    h('div', { class: 'lab-columns' }, ...KINDS.map((kind) => scores[kind].element)),
    h('div', { class: 'lab-columns' }, table, said), rows, h('div', { class: 'picture-tools' }, set.element), run.element);
  show(await material.result(`odd-${state.odd}`));
  return { element, destroy: run.destroy };
}
