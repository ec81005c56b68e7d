/** A small line chart as SVG: curves that grow while one looks. */

import { h, short } from './dom.js';
import { label, ticks } from './draw.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 420, HEIGHT = 190;
const MARGIN = { left: 46, right: 10, top: 8, bottom: 24 };

function svg(tag, attributes, text = null) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

/**
 * @param {{title: string, unit: string, across: string}} options
 * @returns {{element: HTMLElement, show: (series: Array<{name: string, kind: string, dashed: boolean, points: number[][]}>) => void}}
 *     kind: "ae" or "vae", for the colour
 */
export function makeChart({ title, unit, across }) {
  const drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': title });
  const legend = h('p', { class: 'chart-legend' });
  const element = h('figure', { class: 'chart' }, h('figcaption', {}, h('b', {}, title), ` ${unit}`), drawing, legend);

  function show(series) {
    const drawn = series.filter(({ points }) => points.length);
    const all = drawn.flatMap(({ points }) => points);
    drawing.replaceChildren();
    legend.replaceChildren(...drawn.map(legendItem));
    if (!all.length) return;
    const scale = makeScale(all);
    drawAxes(drawing, scale, across);
    for (const { points, kind, dashed } of drawn) {
      const path = points.map(([x, y]) => `${scale.x(x).toFixed(1)},${scale.y(y).toFixed(1)}`).join(' ');
      drawing.append(svg('polyline', { points: path, class: `${kind} ${dashed ? 'dashed' : ''}` }));
      const [x, y] = points[points.length - 1];
      drawing.append(svg('circle', { cx: scale.x(x), cy: scale.y(y), r: 2.6, class: kind }));
    }
    drawing.setAttribute('aria-label', `${title}: ${drawn.map(({ name, points }) => `${name} ${short(points[points.length - 1][1])}`).join(', ')} ${unit}`);
  }
  return { element, show };
}

/** legend: its text, if that is not the name and the last value. */
function legendItem({ name, kind, dashed, points, legend }) {
  return h('span', { class: kind }, h('i', { class: dashed ? 'line dashed' : 'line' }), legend ?? `${name} ${short(points[points.length - 1][1])}`);
}

/** The first moments cost so much more than the rest that they would flatten it: the axis starts at the 10th highest percent. */
function makeScale(points) {
  const ys = points.map(([, y]) => y).sort((a, b) => a - b);
  const right = Math.max(...points.map(([x]) => x), 1e-9);
  const low = ys[0], high = Math.max(ys[Math.floor((ys.length - 1) * 0.93)], low + 1e-6);
  const margin = (high - low) * 0.08;
  const [bottom, top] = [Math.max(low < 0 ? low : 0, low - margin), high + margin];
  return {
    right, bottom, top,
    x: (x) => MARGIN.left + (x / right) * (WIDTH - MARGIN.left - MARGIN.right),
    y: (y) => MARGIN.top + (1 - (Math.min(y, top) - bottom) / (top - bottom)) * (HEIGHT - MARGIN.top - MARGIN.bottom),
  };
}

function drawAxes(drawing, scale, across) {
  for (const value of ticks(scale.bottom, scale.top, 4)) {
    const y = scale.y(value);
    drawing.append(svg('line', { x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: y, y2: y, class: 'rule' }),
      svg('text', { x: MARGIN.left - 5, y: y + 4, 'text-anchor': 'end' }, label(value)));
  }
  for (const value of ticks(0, scale.right, 6)) {
    drawing.append(svg('text', { x: scale.x(value), y: HEIGHT - 8, 'text-anchor': 'middle' }, label(value)));
  }
  drawing.append(svg('text', { x: 2, y: HEIGHT - 8 }, across));
}
