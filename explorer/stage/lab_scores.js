/** The scores of one model: two histograms with a threshold one can drag, what it comes to, and both curves. */

import { h, onMove, setText, svg } from './dom.js';
import { label, ticks } from './draw.js';
import { curves, ratesAt } from './threshold.js';

const WIDTH = 460, HEIGHT = 170, LEFT = 8, RIGHT = 8, TOP = 10, BOTTOM = 24, BINS = 40;
const CURVE = 130;
const TAIL = 0.995; // what lies above this share of the scores is put into the last bar

/**
 * @param {{title: string, kind: string, unit: string, names: [string, string], digits: number,
 *     onChange: (threshold: number) => void}} options  names: of normal and of anomalous ones
 */
export function makeScores({ title, kind, unit, names, digits, onChange }) {
  const state = { scores: [], anomalous: [], threshold: 0, low: 0, high: 1, all: null };
  const bars = svg('g', {}), line = svg('line', { y1: TOP - 6, y2: HEIGHT - BOTTOM, class: 'threshold' }), grip = svg('circle', { cy: TOP, r: 6, class: 'grip' });
  const drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}` });
  drawing.append(bars, line, grip);
  const track = h('div', { class: 'score-track', role: 'slider', tabindex: 0, 'aria-label': `${title}: threshold`, 'aria-orientation': 'horizontal' }, drawing);
  const said = h('p', { class: 'formula', role: 'status' }), table = h('table', { class: 'lab-figures' });
  const plots = h('div', { class: 'score-curves' });
  const legend = h('p', { class: 'chart-legend' }, h('span', {}, h('i', { class: 'swatch normal' }), names[0]), h('span', {}, h('i', { class: 'swatch odd' }), names[1]));
  const element = h('section', { class: `scores ${kind}`, 'aria-label': title }, h('h2', {}, title), legend, track, h('p', { class: 'about' }, unit), said, table, plots);
  let dragging = false;
  const pull = (event) => {
    const box = drawing.getBoundingClientRect();
    put(state.low + ((((event.clientX - box.left) / box.width) * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT)) * (state.high - state.low));
  };
  track.addEventListener('pointerdown', (event) => { dragging = true; track.setPointerCapture(event.pointerId); pull(event); });
  onMove(track, (event) => { if (dragging) pull(event); });
  for (const type of ['pointerup', 'pointercancel']) track.addEventListener(type, () => { dragging = false; });
  track.addEventListener('keydown', (event) => {
    const { key, shiftKey } = event;
    const step = (state.high - state.low) / (shiftKey ? 10 : 100);
    const to = { ArrowRight: state.threshold + step, ArrowUp: state.threshold + step, ArrowLeft: state.threshold - step, ArrowDown: state.threshold - step, Home: state.low, End: state.high }[key];
    if (to === undefined) return;
    event.preventDefault();
    put(to);
  });

  /** A threshold outside the scores stops at their end. */
  function put(threshold) {
    state.threshold = Math.min(state.high, Math.max(state.low, threshold));
    showThreshold();
    onChange(state.threshold);
  }

  const across = (value) => LEFT + ((Math.min(state.high, value) - state.low) / (state.high - state.low)) * (WIDTH - LEFT - RIGHT);

  function show(scores, anomalous, threshold) {
    const sorted = Float64Array.from(scores).sort(), n = sorted.length;
    const spare = (sorted[Math.floor(TAIL * (n - 1))] - sorted[0]) * 0.04 || 1;
    Object.assign(state, { scores, anomalous, low: sorted[0] - spare, high: sorted[Math.floor(TAIL * (n - 1))] + spare, all: curves(scores, anomalous) });
    showBars();
    put(threshold);
  }

  function showBars() {
    const counts = [new Float64Array(BINS), new Float64Array(BINS)], totals = [0, 0], { low, high } = state;
    state.scores.forEach((score, i) => {
      const which = state.anomalous[i] ? 1 : 0;
      counts[which][Math.min(BINS - 1, Math.floor(((score - low) / (high - low)) * BINS))]++;
      totals[which]++;
    });
    const shares = counts.map((some, which) => some.map((count) => count / (totals[which] || 1)));
    const most = Math.max(...shares[0], ...shares[1]), wide = (WIDTH - LEFT - RIGHT) / BINS, tall = HEIGHT - TOP - BOTTOM;
    bars.replaceChildren(
      ...shares.flatMap((some, which) => [...some].flatMap((share, bin) => (share ? [svg('rect', {
        class: which ? 'odd' : 'normal', x: LEFT + bin * wide + (which ? 1 : 0), width: wide - (which ? 2 : 0.5), y: HEIGHT - BOTTOM - (share / most) * tall, height: (share / most) * tall,
      })] : []))),
      svg('line', { x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM, class: 'rule' }),
      ...ticks(low, high, 6).map((value) => {
        const text = svg('text', { x: across(value), y: HEIGHT - 8, 'text-anchor': 'middle' });
        text.textContent = label(value);
        return text;
      }));
  }

  function showThreshold() {
    const { scores, anomalous, threshold, all } = state, rates = ratesAt(scores, anomalous, threshold), x = across(threshold);
    line.setAttribute('x1', x);
    line.setAttribute('x2', x);
    grip.setAttribute('cx', x);
    for (const [name, value] of [['min', state.low], ['max', state.high], ['now', threshold]]) track.setAttribute(`aria-value${name}`, value.toFixed(digits));
    track.setAttribute('aria-valuetext', `${threshold.toFixed(digits)}: ${rates.hits} of ${rates.hits + rates.misses} found, ${rates.falseAlarms} false alarms`);
    setText(said, `At ${threshold.toFixed(digits)}: ${rates.hits} of ${rates.hits + rates.misses} found (${names[1]}), ${rates.falseAlarms} false alarms among ${rates.falseAlarms + rates.quiet}`);
    const cells = (...values) => values.map((value) => h('td', {}, value.toFixed(3)));
    table.replaceChildren(
      h('tr', {}, ...['“positive” means', 'precision', 'recall'].map((text) => h('th', { scope: 'col' }, text))),
      h('tr', {}, h('th', { scope: 'row' }, names[1]), ...cells(rates.anomaly.precision, rates.anomaly.recall)),
      h('tr', {}, h('th', { scope: 'row' }, names[0]), ...cells(rates.normal.precision, rates.normal.recall)),
      h('tr', {}, h('th', { scope: 'row' }, 'accuracy, either way'), ...cells(rates.accuracy), h('td')));
    plots.replaceChildren(
      plot('ROC', all.roc, [rates.falseAlarms / (rates.falseAlarms + rates.quiet), rates.anomaly.recall], `area ${all.auc.toFixed(3)} (chance 0.5)`, 'false alarms', 'recall'),
      plot('Precision against recall', all.pr, [rates.anomaly.recall, rates.hits + rates.falseAlarms ? rates.anomaly.precision : 1], `average ${all.averagePrecision.toFixed(3)} (chance ${((rates.hits + rates.misses) / scores.length).toFixed(2)})`, 'recall', 'precision'));
  }

  function plot(name, points, [x, y], text, right, up) {
    const place = ([a, b]) => `${(4 + a * (CURVE - 8)).toFixed(1)},${(4 + (1 - b) * (CURVE - 8)).toFixed(1)}`, [cx, cy] = place([x, y]).split(',');
    const small = svg('svg', { viewBox: `0 0 ${CURVE} ${CURVE}`, role: 'img', 'aria-label': `${name}: ${text}` });
    small.append(svg('rect', { x: 4, y: 4, width: CURVE - 8, height: CURVE - 8, class: 'frame' }),
      svg('polyline', { points: points.map(place).join(' ') }), svg('circle', { cx, cy, r: 4 }));
    return h('figure', {}, h('figcaption', {}, h('b', {}, name), ` ${text}`), small, h('p', { class: 'about' }, `→ ${right}, ↑ ${up}`));
  }
  return { element, show, put, threshold: () => state.threshold };
}
