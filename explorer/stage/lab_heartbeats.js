/** Anomalies (a): heartbeats. A trace over its copy with the error shaded, for both models; scores and thresholds below. */

import { posteriorMean, readSeries, scaled } from './heartbeats.js';
import { choice, h, setText, svg } from './dom.js';
import { makeRun } from './lab_run.js';
import { makeScores } from './lab_scores.js';

const PUBLISHED_SERIES = 5000;
const WIDTH = 460, HEIGHT = 190, KINDS = ['ae', 'vae'];
const WANTED = [{ value: 'all', text: 'all' }, { value: 'normal', text: 'normal' }, { value: 'anomalous', text: 'anomalous' }, { value: 'missed', text: 'missed by the AE' }, { value: 'alarms', text: 'false alarms of the AE' }];
const SCORES = [{ value: 'vae', text: 'mean absolute error' }, { value: 'vae_elbo', text: '−ELBO' }];
const TITLES = { ae: 'AE', vae: 'VAE' };

export async function makeHeartbeats(material) {
  const { query } = material, shipped = await material.result('heartbeats');
  const state = { result: shipped, at: 0, wanted: 'all', own: null, score: { ae: 'ae', vae: query.one('score', ['vae', 'vae_elbo']) }, seed: 0 };
  const traces = Object.fromEntries(KINDS.map((kind) => [kind, makeTrace(kind)]));
  const scores = Object.fromEntries(KINDS.map((kind) => [kind, makeScores({
    title: `${TITLES[kind]}: how well it copies`, kind, unit: 'score; the height is the share of each group', names: ['normal', 'anomalous'], digits: 4, onChange: () => showVerdicts(),
  })]));
  const picked = h('span', { class: 'about', role: 'status' }), table = h('table', { class: 'lab-figures' }), said = h('p', { class: 'about' });
  const wanted = choice('Show', WANTED, state.wanted, (value) => { state.wanted = value; wanted.show(value); step(0); });
  const score = choice('Score of the VAE', SCORES, state.score.vae, (value) => { state.score.vae = value; query.set({ score: value }); score.show(value); showScores('vae'); showVerdicts(); });
  const button = (text, by) => h('button', { type: 'button', onclick: () => step(by) }, text);
  const run = makeRun({
    lab: 'heartbeats', material, text: 'Train both here, on 5 other splits', settings: () => ({ splits: 5, epochs: 200, seed: 100 * ++state.seed }),
    onResult: (result) => use(result), onBack: () => use(shipped),
  });
  const text = h('textarea', { rows: 3, 'aria-label': 'Your own series', placeholder: '140 numbers, one series a line' });
  const problem = h('p', { role: 'alert', class: 'problem', hidden: true });
  const own = h('details', { class: 'lab-own' }, h('summary', {}, 'Try a heartbeat of your own'), h('div', { class: 'lab' },
    h('p', { class: 'about' }, 'Paste 140 numbers, with commas, spaces or tabs between: one heartbeat, as long as those above.'), text,
    h('div', { class: 'picture-tools' }, h('button', { type: 'button', onclick: takeOwn }, 'Show it'), h('button', { type: 'button', onclick: () => { text.value = [...seriesAt(state.at)].map((value) => value.toFixed(3)).join(', '); } }, 'Copy the one above')), problem));

  function makeTrace(kind) {
    const area = svg('polygon', { class: 'error' }), original = svg('polyline', { class: 'original' }), copy = svg('polyline', { class: 'copy' });
    const drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': `${TITLES[kind]}: heartbeat and its copy` });
    drawing.append(area, original, copy);
    const verdict = h('p', { class: 'formula' });
    return { area, original, copy, drawing, verdict, element: h('figure', { class: `trace ${kind}` }, h('figcaption', {}, h('b', {}, TITLES[kind]), ' heartbeat (thin), its copy (thick), error shaded'), drawing, verdict) };
  }

  const anomalous = () => state.anomalous, seriesAt = (i) => state.result.arrays.series.data.subarray(140 * i, 140 * (i + 1));

  function use(result) {
    state.result = result;
    state.own = null;
    state.anomalous = Array.from(result.arrays.labels.data, (label) => Number(label !== 1));
    KINDS.forEach(showScores);
    showTable(result.record);
    step(0);
  }

  function showScores(kind) {
    const name = state.score[kind], { arrays, record } = state.result;
    scores[kind].show(Array.from(arrays[`test_scores.${name}`].data), anomalous(), record.thresholds[name]);
  }

  function showTable({ figures, published, splits, train_normal, test, series }) {
    const span = ({ mean, low, high }) => `${mean.toFixed(3)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
    const keys = ['accuracy', 'precision_normal', 'recall_normal', 'precision_anomaly', 'recall_anomaly', 'auc'];
    const row = (name, cells) => h('tr', {}, h('th', { scope: 'row' }, name), ...cells.map((cell) => h('td', {}, cell)));
    table.replaceChildren(
      h('caption', {}, `At mean + 1 sd of the normal training errors: mean of ${splits} splits, and the middle 95 % of them`),
      h('tr', {}, ...['', 'accuracy', 'precision, normal', 'recall, normal', 'precision, anomaly', 'recall, anomaly', 'area under ROC'].map((name) => h('th', { scope: 'col' }, name))),
      ...[['AE', 'ae'], ['VAE', 'vae'], ['VAE, −ELBO', 'vae_elbo'], ['control: the median heartbeat', 'median']].map(([name, key]) => row(name, keys.map((figure) => span(figures[key][figure])))),
      row('published, 5,000 series', [published.accuracy, published.precision_normal, published.recall_normal].map((value) => value.toFixed(3)).concat('–', '–', '–')));
    const setting = series < PUBLISHED_SERIES ? `Not the published setting: ${series.toLocaleString('en')} series here` : 'The published setting';
    setText(said, `${setting}, ${train_normal.toLocaleString('en')} normal ones to learn from and ${test.toLocaleString('en')} to test on in each split. The threshold’s rule alone makes an alarm of about one normal heartbeat in eight, so accuracy says little: the distance to the median heartbeat, no network at all, reaches ${figures.median.accuracy.mean.toFixed(3)}. The area under ROC asks whether the order is right: ${figures.ae.auc.mean.toFixed(3)} for the AE, ${figures.median.auc.mean.toFixed(3)} for the median.`);
  }

  /** The next heartbeat of the wanted kind. */
  function step(by) {
    const among = [...anomalous().keys()].filter((i) => {
      const alarm = state.result.arrays[`test_scores.${state.score.ae}`].data[i] >= scores.ae.threshold();
      return { all: true, normal: !anomalous()[i], anomalous: anomalous()[i], missed: anomalous()[i] && !alarm, alarms: !anomalous()[i] && alarm }[state.wanted];
    });
    state.own = null;
    if (!among.length) return setText(picked, 'There is none at this threshold.');
    const from = among.findIndex((i) => i >= state.at), here = from < 0 ? 0 : from;
    state.at = among[(here + by + among.length) % among.length];
    showTraces();
  }

  function showTraces() {
    const { arrays } = state.result;
    const series = state.own?.series ?? seriesAt(state.at);
    for (const kind of KINDS) {
      const copy = state.own?.copies[kind] ?? arrays[`recon.${kind}`].data.subarray(140 * state.at, 140 * (state.at + 1));
      drawTrace(traces[kind], series, copy);
    }
    setText(picked, state.own ? 'your own' : `test heartbeat ${state.at + 1} of ${anomalous().length}: ${anomalous()[state.at] ? `anomalous (class ${arrays.labels.data[state.at]})` : 'normal'}`);
    showVerdicts();
  }

  function drawTrace({ area, original, copy }, series, made) {
    const all = [...series, ...made], low = Math.min(0, ...all), high = Math.max(1, ...all);
    const points = (values) => Array.from(values, (value, i) => `${(4 + (i / 139) * (WIDTH - 8)).toFixed(1)},${(6 + (1 - (value - low) / (high - low)) * (HEIGHT - 12)).toFixed(1)}`);
    const [there, back] = [points(series), points(made)];
    original.setAttribute('points', there.join(' '));
    copy.setAttribute('points', back.join(' '));
    area.setAttribute('points', [...there, ...back.reverse()].join(' '));
  }

  function showVerdicts() {
    for (const kind of KINDS) {
      const { arrays } = state.result, threshold = scores[kind].threshold(), name = state.score[kind];
      if (!arrays) continue;
      const usesElbo = name === 'vae_elbo' && state.own;
      const value = state.own ? state.own.errors[kind] : arrays[`test_scores.${name}`].data[state.at];
      setText(traces[kind].verdict, usesElbo ? `error ${value.toFixed(4)}; choose the mean absolute error to compare it` : `score ${value.toFixed(4)}: ${value >= threshold ? 'alarm' : 'no alarm'} at ${threshold.toFixed(4)}`);
    }
  }

  function takeOwn() {
    try {
      const raw = readSeries(text.value), series = scaled(raw, state.result.record);
      const copies = Object.fromEntries(KINDS.map((kind) => [kind, posteriorMean(state.result.arrays, kind, series)]));
      const errors = Object.fromEntries(KINDS.map((kind) => [kind, copies[kind].reduce((sum, value, i) => sum + Math.abs(value - series[i]), 0) / 140]));
      state.own = { series, copies, errors };
      problem.hidden = true;
      showTraces();
    } catch ({ message }) {
      problem.hidden = false;
      setText(problem, message);
    }
  }

  const element = h('div', { class: 'lab' },
    h('div', { class: 'picture-tools' }, button('Previous heartbeat', -1), button('Next heartbeat', 1), wanted.element, picked),
    h('div', { class: 'lab-columns' }, ...KINDS.map((kind) => traces[kind].element)), own,
    h('div', { class: 'picture-tools' }, score.element),
    h('div', { class: 'lab-columns' }, ...KINDS.map((kind) => scores[kind].element)),
    h('div', { class: 'wide' }, table), said, run.element);
  use(shipped);
  return { element, destroy: run.destroy };
}
