/** The sliders of one model: one a latent dimension, with the density of its codes on the track and a box to type in. */

import { h, onMove, short, svgShape } from './dom.js';
import { sliderRange } from './latent.js';

const BINS = 48;
const LARGEST = 1e6;

export class Sliders {
  /**
   * @param {{kind: string, atlas: any, onInput: (dim: number, value: number) => void, onProblem: (text: string) => void}} options
   *   kind: "AE" or "VAE", the first word of every name
   */
  constructor({ kind, atlas, onInput, onProblem }) {
    this.rows = Array.from(atlas.order, (dim) => makeRow({ kind, atlas, dim, onInput, onProblem }));
    this.element = h('div', { class: `sliders ${atlas.d > 6 ? 'many' : ''}` }, ...this.rows.map((row) => row.element));
  }

  /** Other codes of the same model: ranges and densities change, the rows stay under the finger. */
  fit(atlas) {
    for (const row of this.rows) row.fit(atlas);
  }

  /** Follow a code. */
  set(z) {
    for (const row of this.rows) row.set(z[row.dim]);
  }
}

function makeRow({ kind, atlas, dim, onInput, onProblem }) {
  const name = `${kind} z${dim + 1}`;
  let low = 0, high = 1, span = 1, curve = null;
  const thumb = h('span', { class: 'thumb' });
  const track = h('div', {
    class: 'track', role: 'slider', tabindex: 0, 'aria-label': name,
  }, thumb);
  const box = h('input', { class: 'value', type: 'text', inputmode: 'decimal', 'aria-label': `${name} value`, spellcheck: 'false' });
  const row = { dim, value: NaN, element: h('div', { class: 'slider' }, h('span', { class: 'name', 'aria-hidden': 'true' }, `z${dim + 1}`), track, box) };

  row.fit = (newAtlas) => {
    [low, high] = sliderRange(newAtlas, dim);
    span = Math.max(high - low, 1e-9);
    track.setAttribute('aria-valuemin', low.toFixed(4));
    track.setAttribute('aria-valuemax', high.toFixed(4));
    curve?.remove();
    curve = densityCurve(newAtlas, dim, low, span);
    track.prepend(curve);
    row.value = NaN;
  };
  row.fit(atlas);

  row.set = (value) => {
    if (Object.is(value, row.value)) return;
    row.value = value;
    const share = Math.min(1, Math.max(0, (value - low) / span));
    thumb.style.left = `${(share * 100).toFixed(2)}%`;
    thumb.classList.toggle('outside', value < low || value > high);
    track.setAttribute('aria-valuenow', String(Number(value.toPrecision(7))));
    track.setAttribute('aria-valuetext', short(value));
    if (box !== box.getRootNode().activeElement) box.value = short(value);
  };

  const toPointer = (event) => {
    const line = track.getBoundingClientRect();
    onInput(dim, low + Math.min(1, Math.max(0, (event.clientX - line.left) / line.width)) * span);
  };
  track.addEventListener('pointerdown', (event) => {
    track.setPointerCapture(event.pointerId);
    toPointer(event);
  });
  onMove(track, (event) => track.hasPointerCapture(event.pointerId) && toPointer(event));
  track.addEventListener('keydown', (event) => {
    const value = keyed(event.key, row.value, low, high);
    if (value === null || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    onInput(dim, value);
  });

  box.addEventListener('keydown', (event) => {
    event.stopPropagation();
    if (event.key === 'Enter') box.blur();
  });
  box.addEventListener('focus', () => box.select());
  box.addEventListener('change', () => {
    const typed = Number(box.value.trim().replace(',', '.'));
    const usable = box.value.trim() !== '' && Number.isFinite(typed) && Math.abs(typed) <= LARGEST;
    if (usable) onInput(dim, typed);
    else onProblem(`${name} must be a number between −1,000,000 and 1,000,000, got “${box.value.trim().slice(0, 20)}”.`);
  });
  box.addEventListener('blur', () => { box.value = short(row.value); });
  return row;
}

/** The value after a key, as the slider pattern for screen readers has it; null for any other key. */
function keyed(key, value, low, high) {
  const step = (high - low) / 100;
  const moves = { ArrowRight: step, ArrowUp: step, ArrowLeft: -step, ArrowDown: -step, PageUp: 10 * step, PageDown: -10 * step };
  if (key in moves) return value + moves[key];
  return { Home: low, End: high }[key] ?? null;
}

/** The density of the codes along the track, as an SVG shape. */
function densityCurve(atlas, dim, low, span) {
  const counts = new Array(BINS).fill(0);
  for (let i = dim; i < atlas.codes.length; i += atlas.d) {
    const bin = Math.floor(((atlas.codes[i] - low) / span) * BINS);
    if (bin >= 0 && bin < BINS) counts[bin]++;
  }
  const most = Math.max(...counts, 1);
  const steps = counts.map((count, i) => `L${i},${(20 - (18 * count) / most).toFixed(1)} L${i + 1},${(20 - (18 * count) / most).toFixed(1)}`);
  return svgShape(BINS, 20, 'path', { d: `M0,20 ${steps.join(' ')} L${BINS},20 Z` });
}
