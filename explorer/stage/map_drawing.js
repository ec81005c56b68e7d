/** A map as a drawing of its own (SVG), at any size: what it shows on the screen, in vectors. */

import { svg, withText } from './dom.js';
import { label, ticks } from './draw.js';
import { MARGIN } from './map.js';

/**
 * @param {import('./map.js').LatentMap} map
 * @param {{width: number, height: number, name: string}} options  name: its own among the maps of one sheet
 * @returns {SVGElement} from (0, 0) to (width, height), cut off there
 */
export function drawMap(map, { width, height, name }) {
  const sized = map.sized(width, height), { color: ink, backgroundColor: paper } = getComputedStyle(map.element);
  const pen = { map: sized, name, width, height, ink, paper };
  const drawing = svg('svg', { width, height, viewBox: `0 0 ${width} ${height}` });
  drawing.append(svg('rect', { width, height, rx: 9, fill: paper }), ...field(pen), ...grid(pen), ...axes(pen), ...points(pen), ...classNames(pen), ...ellipses(pen), ...marks(pen));
  return drawing;
}

/** What a canvas shows, as an image within a drawing. smooth: blended between its pixels when it is larger than they are. */
export function embedded(canvas, place, { smooth = false, stretched = false } = {}) {
  return svg('image', { ...place, href: canvas.toDataURL('image/png'), preserveAspectRatio: stretched ? 'none' : 'xMidYMid', 'image-rendering': smooth ? 'auto' : 'pixelated' });
}

function boxOf({ map }, { left, bottom, right, top }) {
  const [x, low] = map.toPixels(left, bottom), [far, y] = map.toPixels(right, top);
  return { x, y, width: far - x, height: low - y };
}

/** A layer, within the axes. */
function field(pen) {
  const { map, paper, width, height } = pen, shown = map.state.field;
  if (!shown) return [];
  const box = boxOf(pen, shown.bounds), wide = box.width / shown.columns, high = box.height / shown.rows;
  const inside = { x: MARGIN.left, y: MARGIN.top, width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  const cut = svg('svg', { ...inside, viewBox: `${inside.x} ${inside.y} ${inside.width} ${inside.height}` });
  const cells = shown.runs.map(([i, j, length]) => `M${two(box.x + i * wide)} ${two(box.y + j * high)}h${two(length * wide)}v${two(high)}h${two(-length * wide)}z`);
  const hatch = svg('pattern', { id: `hatch-${pen.name}`, width: 8, height: 8, patternUnits: 'userSpaceOnUse' });
  hatch.append(svg('path', { d: 'M-1 9L9 -1M-9 9L1 -1M7 9L17 -1', stroke: paper, 'stroke-opacity': 0.5 }));
  cut.append(hatch, embedded(shown.sprite, box, { smooth: true, stretched: true }), svg('path', { d: cells.join(''), fill: `url(#${hatch.id})` }));
  return [cut];
}

function grid(pen) {
  const shown = pen.map.state.grid;
  return shown ? [embedded(shown.sprite, boxOf(pen, { left: 0, bottom: 0, right: 1, top: 1 }), { smooth: true, stretched: true })] : [];
}

function axes({ map, width, height, ink, paper }) {
  const { left, right, bottom, top } = map.sight(), { lanes, names } = map.view;
  const across = ticks(left, right, width / 90).map((value) => [value, map.toPixels(value, 0)[0]]);
  const up = lanes ? [] : ticks(bottom, top, height / 70).map((value) => [value, map.toPixels(0, value)[1]]);
  const line = (x1, y1, x2, y2) => svg('line', { x1, y1, x2, y2, stroke: ink, 'stroke-opacity': 0.1 });
  const text = (words, x, y, anchor) => withText(svg('text', { x, y, 'text-anchor': anchor, fill: ink, 'fill-opacity': 0.7, 'font-size': 11, ...rim(paper, 3) }), words);
  const laneNames = map.state.names.slice(0, lanes ?? 0).map((name, c) => text(name, MARGIN.left - 4, map.toPixels(0, (c + 0.5) / lanes)[1] + 4, 'end'));
  return [
    ...across.flatMap(([value, x]) => [line(x, MARGIN.top, x, height - MARGIN.bottom), text(label(value), x, height - 6, 'middle')]),
    ...up.flatMap(([value, y]) => [line(MARGIN.left, y, width - MARGIN.right, y), text(label(value), MARGIN.left - 4, y + 4, 'end')]),
    ...laneNames,
    text(names[0], width - MARGIN.right, height - MARGIN.bottom - 4, 'end'), text(names[1], MARGIN.left + 4, MARGIN.top + 12, 'start'),
  ];
}

/** All points of a class as one path of dots. */
function points({ map, width }) {
  const { labels, colours, selectedClass, grid: behind } = map.state;
  if (!labels) return [];
  const { x, y } = map.view, [ux, uy] = map.unit(), [cx, cy] = map.centre(), dots = new Map();
  for (let i = 0; i < x.length; i++) {
    const px = cx + (x[i] - map.zoom.x) / ux, py = cy - (y[i] - map.zoom.y) / uy;
    if (px < 0 || py < 0 || px > width || py > map.height) continue;
    if (!dots.has(labels[i])) dots.set(labels[i], []);
    dots.get(labels[i]).push(`M${two(px)} ${two(py)}h0`);
  }
  const last = (c) => Number(c === selectedClass);
  return [...dots].sort(([one], [other]) => last(one) - last(other) || one - other).map(([c, all]) => svg('path', {
    d: all.join(''), fill: 'none', stroke: colours[c % colours.length], 'stroke-width': x.length > 5000 ? 3 : 4, 'stroke-linecap': 'round',
    'stroke-opacity': selectedClass !== null && c !== selectedClass ? 0.07 : behind ? 0.3 : 0.8,
  }));
}

function classNames({ map, paper }) {
  const { labels, colours, selectedClass, names } = map.state;
  const isNamed = (name, c) => labels && !map.view.lanes && (selectedClass === null ? name.length > 2 : c === selectedClass);
  return names.flatMap((name, c) => {
    if (!isNamed(name, c)) return [];
    const [x, y] = map.toPixels(...map.middleOf(c, labels));
    if (!Number.isFinite(x)) return [];
    return [withText(svg('text', { x, y: y + 5, 'text-anchor': 'middle', 'font-size': 15, 'font-weight': 700, fill: colours[c % colours.length], ...rim(paper, 4) }), name)];
  });
}

function ellipses({ map, ink }) {
  const group = svg('g', { fill: 'none', stroke: ink, 'stroke-width': 1.2, 'stroke-opacity': 0.85 });
  group.append(...map.state.ellipses.map(({ x, y, covariance }) => map.ellipseAt(map.toPixels(x, y), covariance)));
  return map.state.ellipses.length ? [group] : [];
}

/** The walk, the probe and its nearest image, the image looked at. */
function marks({ map, width, height, ink, paper }) {
  const { probe, nearest, image, a, b, path, accent, pinned } = map.state.marks, made = [];
  const twice = (tag, attributes, wide, colour, narrow) => made.push(
    svg(tag, { ...attributes, fill: 'none', stroke: paper, 'stroke-width': wide }), svg(tag, { ...attributes, fill: 'none', stroke: colour, 'stroke-width': narrow }));
  const along = (places) => ({ points: places.map((place) => map.toPixels(...place).map(two).join(',')).join(' ') });
  if (path?.length) twice('polyline', along(path), 3.5, ink, 1.5);
  if (probe && nearest) twice('polyline', along([nearest, probe]), 3, accent, 1);
  const circle = ([cx, cy], r) => ({ cx: two(cx), cy: two(cy), r });
  if (image) twice('circle', circle(map.toPixels(...image), 8), 4, ink, 2);
  for (const [name, at] of [['A', a], ['B', b]]) {
    if (!at) continue;
    const [x, y] = map.toPixels(...at);
    made.push(svg('circle', { ...circle([x, y], 9), fill: paper, stroke: ink, 'stroke-width': 2 }),
      withText(svg('text', { x, y: y + 4, 'text-anchor': 'middle', 'font-size': 11, 'font-weight': 700, fill: ink }), name));
  }
  if (!probe) return made;
  const [px, py] = map.toPixels(...probe), x = Math.min(width - 6, Math.max(6, px)), y = Math.min(height - 6, Math.max(6, py));
  if (map.view.lanes) twice('line', { x1: px, x2: px, y1: MARGIN.top, y2: height - MARGIN.bottom }, 4, accent, 1.5);
  twice('circle', circle([x, y], 6.5), 5, accent, 2.5);
  if (x === px && y === py) made.push(svg('circle', { ...circle([x, y], pinned ? 3.2 : 1.5), fill: accent }));
  return made;
}

/** Text with a rim of the ground's colour, so that it can be read on anything. */
function rim(paper, width) {
  return { stroke: paper, 'stroke-width': width, 'stroke-linejoin': 'round', 'paint-order': 'stroke' };
}

function two(value) {
  return Number(value.toFixed(2));
}
