/**
 * The row of a table as numbers: a bar for each feature with its value in the feature's own unit; of many features a profile
 * and a list. In a row of many, and behind a map, the profile alone.
 */

import { drawPixels, h, paint, pictureCanvas, setText, short } from './dom.js';

/** @typedef {{name: string, low: number, high: number}} Feature  a value x in [0, 1] stands for low + x (high - low) */

const FEW = 12;
const SIDE = 48;
const WIDE = { width: 192, height: 72 };
const ROW_PX = 20;
const BASE = 70, BAR = 175, MARK = 255;

/**
 * @param {Feature[]} features
 * @returns {import('./items.js').Items}
 */
export function makeNumbers(features) {
  const size = { width: SIDE, height: SIDE };
  return {
    small: (name) => makeProfile(name, features, size),
    large: (name) => (features.length <= FEW ? makeBars(name, features) : makeMany(name, features)),
    draw: (context, values, scale, left, top) => drawPixels(context, profile(values, scale, size), [1, SIDE, SIDE], 1, left, top),
    ...size, noun: 'row', measured: 'features, each scaled to 0…1 in 256 steps,', one: 'feature',
    note: 'A bar goes from its feature’s lowest to its highest value, in 256 steps; a tick is the row it is compared with.',
  };
}

// --- values in their own unit ----------------------------------------------------------------------------------------

/** The value that x stands for, with as many decimals as a hundredth of the feature's range needs. */
export function valueText({ low, high }, x) {
  const value = low + x * (high - low), range = high - low;
  if (!(range > 0)) return short(value);
  if (Math.abs(value) >= 1e7 || range < 1e-6) return value.toPrecision(4);
  return value.toFixed(Math.max(0, Math.ceil(-Math.log10(range / 100))));
}

function sentence(features, values, scale) {
  return features.map((feature, i) => `${feature.name} ${valueText(feature, (values[i] * scale) / 255)}`).join(', ');
}

// --- a profile: grey on black, as the images are ---------------------------------------------------------------------

/**
 * Bars side by side; where features outnumber columns, what the features of a column have in common and what they reach.
 * @returns {Uint8Array} [height, width]
 */
function profile(values, scale, { width, height }, marks = null, markScale = 0) {
  const pixels = new Uint8Array(width * height), count = values.length, slot = width / count, gap = slot >= 4 ? 1 : 0;
  const row = (value, unit) => Math.min(height - 1, Math.max(0, Math.round((1 - (value * unit) / 255) * (height - 1))));
  const fill = (column, from, to, grey) => { for (let y = from; y <= to; y++) pixels[y * width + column] = grey; };
  for (let column = 0; column < width; column++) {
    const first = Math.floor(column / slot), last = Math.max(first + 1, Math.floor((column + 1) / slot));
    if (gap && column + 1 >= Math.floor((first + 1) * slot)) continue;
    let low = Infinity, high = -Infinity, mark = 0;
    for (let i = first; i < Math.min(last, count); i++) {
      low = Math.min(low, values[i]);
      high = Math.max(high, values[i]);
      if (marks) mark = Math.max(mark, marks[i]);
    }
    fill(column, row(low, scale), height - 1, BAR);
    fill(column, row(high, scale), row(low, scale), last - first > 1 ? (BAR + BASE) >> 1 : BAR);
    if (marks) fill(column, Math.max(0, row(mark, markScale) - 1), row(mark, markScale), MARK);
    if (pixels[(height - 1) * width + column] === 0) fill(column, height - 1, height - 1, BASE);
  }
  return pixels;
}

function makeProfile(name, features, size) {
  const element = pictureCanvas(name, { ...size, className: 'numbers-profile' });
  let marks = null, markScale = 0, shown = null;
  const show = () => shown && paint(element, profile(...shown, size, marks, markScale), [1, size.height, size.width], 1);
  return {
    element,
    paint: (values, scale) => {
      shown = [Float64Array.from(values), scale]; // a decoder uses its array again
      show();
      if (features.length <= FEW) element.setAttribute('aria-description', sentence(features, values, scale));
    },
    mark: (values, scale) => { [marks, markScale] = [values, scale]; show(); },
  };
}

// --- few features: a bar each ----------------------------------------------------------------------------------------

function makeBars(name, features) {
  const rows = features.map((feature) => {
    const value = h('span', { class: 'feature-value' }), bar = h('i', { class: 'feature-bar' }), tick = h('i', { class: 'feature-tick', hidden: true });
    const label = h('span', { class: 'feature-name', dir: 'auto' }, feature.name);
    const ends = h('span', { class: 'feature-ends' }, h('span', {}, valueText(feature, 0)), h('span', {}, valueText(feature, 1)));
    return { element: h('div', { class: 'feature', title: feature.name }, label, value, h('span', { class: 'feature-track' }, bar, tick), ends), value, bar, tick };
  });
  const element = h('div', { class: 'numbers', role: 'img', 'aria-label': name }, ...rows.map((row) => row.element));
  return {
    element,
    paint: (values, scale) => {
      rows.forEach(({ value, bar }, i) => {
        const x = (values[i] * scale) / 255;
        setText(value, valueText(features[i], x));
        bar.style.width = `${100 * x}%`;
      });
      element.setAttribute('aria-description', sentence(features, values, scale));
    },
    mark: (values, scale) => rows.forEach(({ element: row, tick }, i) => {
      const x = (values[i] * scale) / 255;
      tick.hidden = false;
      tick.style.left = `${100 * x}%`;
      row.title = `${features[i].name}: the tick is at ${valueText(features[i], x)}`;
    }),
  };
}

// --- many features: a profile, and a list of which only the rows in sight are there -----------------------------------

function makeMany(name, features) {
  const picture = makeProfile(name, features, WIDE);
  const canvas = h('div', { class: 'numbers-all' });
  canvas.style.height = `${features.length * ROW_PX}px`;
  const list = h('div', { class: 'numbers-list', role: 'region', tabindex: 0, 'aria-label': `${name}: ${features.length} values` }, canvas);
  const element = h('div', { class: 'numbers many' }, picture.element, list);
  picture.element.setAttribute('aria-description', `${features.length} features; their values are in the list that follows`);
  let shown = null, pointed = -1;

  function show() {
    if (!shown) return;
    const [values, scale] = shown, first = Math.floor(list.scrollTop / ROW_PX);
    const count = Math.min(features.length - first, Math.ceil((list.clientHeight || 8 * ROW_PX) / ROW_PX) + 1);
    while (canvas.children.length < count) canvas.append(h('p', {}, h('span', { class: 'feature-name', dir: 'auto' }), h('span', { class: 'feature-value' })));
    while (canvas.children.length > count) canvas.lastChild.remove();
    [...canvas.children].forEach((row, k) => {
      const feature = features[first + k];
      row.style.top = `${(first + k) * ROW_PX}px`;
      row.classList.toggle('pointed', first + k === pointed);
      row.title = `${feature.name}: ${valueText(feature, 0)} to ${valueText(feature, 1)}`;
      setText(row.firstChild, feature.name);
      setText(row.lastChild, valueText(feature, (values[first + k] * scale) / 255));
    });
  }

  list.addEventListener('scroll', show);
  list.addEventListener('keydown', (event) => event.stopPropagation()); // the arrow keys scroll
  picture.element.addEventListener('pointermove', ({ offsetX }) => {
    pointed = Math.min(features.length - 1, Math.max(0, Math.floor((offsetX / picture.element.clientWidth) * features.length)));
    list.scrollTop = Math.max(0, (pointed - 2) * ROW_PX);
    show();
  });
  return {
    element,
    paint: (values, scale) => {
      shown = [Float64Array.from(values), scale];
      picture.paint(values, scale);
      show();
    },
    mark: picture.mark,
  };
}
