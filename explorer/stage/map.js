/**
 * One latent map: points, axes, marks, and what part of the plane is seen. It draws what it is given; gestures on it are
 * told in the plane's own units, and what they mean is not its business.
 *
 * Three canvases lie on one another: what is behind the points, the points, and the marks that move (probe, path); below
 * the marks the ellipses.
 */

import { brief, h, svg } from './dom.js';
import { badge, DotLayer, ellipseOf, extent, hatch, label, outline, rgbOf, ring, stroke, ticks } from './draw.js';
import { listenTo } from './gestures.js';

const MARGIN = { left: 34, right: 8, top: 8, bottom: 20 };
const TOUCH_PX = 7;
const MARK_PX = 13;
/** Standard deviations that hold 95 % of a Gaussian. */
export const WITHIN_1D = 1.96, WITHIN_2D = 2.4477;
const MAX_ZOOM = 60, MIN_ZOOM = 0.25;
/** The names of more classes would hide the points, and a long one those of another class. */
const MOST_NAMES = 12, MOST_LETTERS = 18, LANE_PX = 13;

export class LatentMap {
  /**
   * @param {{name: string, hint: string, on: Record<string, Function>}} options  on: see gestures.js;
   *     and on.seen() when it was drawn, perhaps another part of the plane than before
   */
  constructor({ name, hint, on }) {
    this.behind = h('canvas', { 'aria-hidden': 'true' });
    this.points = h('canvas', { 'aria-hidden': 'true' });
    this.ellipses = svg('svg', { class: 'ellipses', 'aria-hidden': 'true' });
    this.marks = h('canvas', { 'aria-hidden': 'true' });
    const button = (text, label, factor) =>
      h('button', { type: 'button', 'aria-label': label, title: label, tabindex: -1, onclick: () => this.zoomBy(factor) }, text);
    this.element = h('div', { class: 'map', role: 'application', tabindex: 0, 'aria-label': name, 'aria-description': hint },
      this.behind, this.points, this.ellipses, this.marks,
      h('div', { class: 'zoom' }, button('+', 'Zoom in', 1.5), button('−', 'Zoom out', 1 / 1.5), button('⟲', 'Show all', 0)));
    this.view = null;
    this.state = { selectedClass: null, colours: [], labels: null, names: [], grid: null, field: null, ellipses: [], arrows: [], marks: {} };
    this.frame = 0;
    this.on = on;
    listenTo(this, on);
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(this.element);
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    this.watcher.disconnect();
  }

  /** Show another picture. The zoom starts anew. */
  setView(view) {
    this.view = view;
    this.extent = { x: extent(view.x), y: extent(view.y) };
    this.resetZoom();
  }

  /** The same picture a moment later. It grows at once and shrinks slowly, so that one sees what moves. */
  followView(view) {
    const before = this.extent;
    this.setView(view);
    if (!before) return;
    const eased = ([oldLow, oldHigh], [low, high]) => [Math.min(low, oldLow + 0.2 * (low - oldLow)), Math.max(high, oldHigh + 0.2 * (high - oldHigh))];
    this.extent = { x: eased(before.x, this.extent.x), y: eased(before.y, this.extent.y) };
    this.resetZoom();
  }

  /** Change what is drawn: selectedClass, colours, labels, names, grid, field (see overlay.js). */
  set(patch) {
    Object.assign(this.state, patch);
    this.draw();
  }

  /** Change what moves: probe, nearest, image, a, b ([x, y] or null), path (list of [x, y]), accent, pinned. */
  setMarks(patch) {
    const { marks } = this.state;
    if (Object.keys(patch).every((key) => Object.is(marks[key], patch[key]))) return;
    Object.assign(marks, patch);
    if (!this.frame) this.drawMarks(); // else the next frame draws all
  }

  /** @param {Array<{x: number, y: number, covariance: [number, number, number]}>} ellipses  in the plane's units */
  setEllipses(ellipses) {
    if (!ellipses.length && !this.state.ellipses.length) return;
    this.state.ellipses = ellipses;
    this.drawEllipses();
  }

  /**
   * @param {Array<{x: number, y: number, across: number, up: number, name: string, inward?: boolean}>} arrows  at x, y in the
   *     plane's units, across and up in pixels; inward: with the head at x, y
   */
  setArrows(arrows) {
    this.state.arrows = arrows;
    this.drawEllipses();
  }

  // --- plane and pixels -------------------------------------------------------------------------------------------

  resetZoom() {
    this.zoom = { scale: 1, x: (this.extent.x[0] + this.extent.x[1]) / 2, y: (this.extent.y[0] + this.extent.y[1]) / 2 };
    this.draw();
  }

  zoomBy(factor, px = this.width / 2, py = this.height / 2) {
    if (!this.view) return;
    if (factor === 0) return this.resetZoom();
    const [x, y] = this.toPlane(px, py);
    this.zoom.scale = Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, this.zoom.scale * factor));
    const [nowX, nowY] = this.toPlane(px, py);
    this.zoom.x += x - nowX;
    this.zoom.y += y - nowY;
    this.draw();
  }

  /** Where the probe is, for a zoom that keeps it in sight. */
  probePixels() {
    const { probe } = this.state.marks;
    return probe ? this.toPixels(...probe) : [this.width / 2, this.height / 2];
  }

  /** Units of the plane a pixel. */
  unit() {
    const { x, y } = this.extent;
    return [
      (x[1] - x[0]) / (this.width - MARGIN.left - MARGIN.right) / this.zoom.scale,
      (y[1] - y[0]) / (this.height - MARGIN.top - MARGIN.bottom) / this.zoom.scale,
    ];
  }

  centre() {
    return [(MARGIN.left + this.width - MARGIN.right) / 2, (MARGIN.top + this.height - MARGIN.bottom) / 2];
  }

  toPlane(px, py) {
    const [ux, uy] = this.unit(), [cx, cy] = this.centre();
    return [this.zoom.x + (px - cx) * ux, this.zoom.y - (py - cy) * uy];
  }

  toPixels(x, y) {
    const [ux, uy] = this.unit(), [cx, cy] = this.centre();
    return [cx + (x - this.zoom.x) / ux, cy - (y - this.zoom.y) / uy];
  }

  /** The part of the plane within the axes, and how large it is in pixels. */
  sight() {
    const [left, bottom] = this.toPlane(MARGIN.left, this.height - MARGIN.bottom);
    const [right, top] = this.toPlane(this.width - MARGIN.right, MARGIN.top);
    return { left, right, bottom, top, wide: this.width - MARGIN.left - MARGIN.right, high: this.height - MARGIN.top - MARGIN.bottom };
  }

  resize() {
    const { clientWidth, clientHeight } = this.element;
    if (!clientWidth || !clientHeight) return;
    [this.width, this.height] = [clientWidth, clientHeight];
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    for (const canvas of [this.behind, this.points, this.marks]) {
      canvas.width = Math.round(clientWidth * this.ratio);
      canvas.height = Math.round(clientHeight * this.ratio);
      canvas.getContext('2d').setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    }
    this.drawNow(); // sizing a canvas empties it: draw in this very frame
  }

  // --- drawing ----------------------------------------------------------------------------------------------------

  /** All layers, once before the next frame however often it is asked for. */
  draw() {
    this.frame ||= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (!this.view || !this.width) return;
    this.drawBehind();
    this.drawPoints();
    this.drawEllipses();
    this.drawMarks();
    this.on.seen();
  }

  drawBehind() {
    const context = this.clear(this.behind);
    const { grid, field } = this.state;
    if (field) this.drawField(context, field);
    if (grid) {
      const [left, bottom] = this.toPixels(0, 0), [right, top] = this.toPixels(1, 1);
      context.drawImage(grid.sprite, left, top, right - left, bottom - top);
    }
    this.drawAxes(context);
  }

  /** A layer within the axes: its colours run into one another, and what is beyond its scale is hatched. */
  drawField(context, { bounds, sprite, columns, rows, runs }) {
    const [left, bottom] = this.toPixels(bounds.left, bounds.bottom), [right, top] = this.toPixels(bounds.right, bounds.top);
    const wide = (right - left) / columns, high = (bottom - top) / rows;
    context.save();
    context.beginPath();
    context.rect(MARGIN.left, MARGIN.top, this.width - MARGIN.left - MARGIN.right, this.height - MARGIN.top - MARGIN.bottom);
    context.clip();
    context.drawImage(sprite, left, top, right - left, bottom - top);
    context.beginPath();
    for (const [i, j, length] of runs) context.rect(left + i * wide, top + j * high, length * wide, high);
    context.fillStyle = hatch(context, getComputedStyle(this.element).backgroundColor);
    context.fill();
    context.restore();
  }

  drawAxes(context) {
    const style = getComputedStyle(this.element);
    context.font = `11px ${style.fontFamily}`;
    context.fillStyle = context.strokeStyle = style.color;
    context.lineWidth = 1;
    const { left, right, bottom, top } = this.sight();
    const across = ticks(left, right, this.width / 90).map((value) => [value, this.toPixels(value, 0)[0]]);
    const up = this.view.lanes ? [] : ticks(bottom, top, this.height / 70).map((value) => [value, this.toPixels(0, value)[1]]);
    context.globalAlpha = 0.1;
    for (const [, px] of across) stroke(context, px, MARGIN.top, px, this.height - MARGIN.bottom);
    for (const [, py] of up) stroke(context, MARGIN.left, py, this.width - MARGIN.right, py);
    context.globalAlpha = 0.7;
    context.textAlign = 'center';
    for (const [value, px] of across) context.fillText(label(value), px, this.height - 6);
    context.textAlign = 'right';
    if (this.view.lanes) this.drawLaneNames(context);
    else for (const [value, py] of up) context.fillText(label(value), MARGIN.left - 4, py + 4);
    this.drawAxisName(context, this.view.names[0], this.width - MARGIN.right, this.height - MARGIN.bottom - 4);
    context.textAlign = 'left';
    this.drawAxisName(context, this.view.names[1], MARGIN.left + 4, MARGIN.top + 12);
    context.globalAlpha = 1;
  }

  /** With a rim, so that it can be read on a layer. */
  drawAxisName(context, name, px, py) {
    context.lineWidth = 3;
    context.lineJoin = 'round';
    context.strokeStyle = getComputedStyle(this.element).backgroundColor;
    context.strokeText(name, px, py);
    context.fillText(name, px, py);
  }

  drawLaneNames(context) {
    const { lanes } = this.view, each = Math.ceil(lanes / Math.max(1, Math.floor((this.height - MARGIN.top - MARGIN.bottom) / LANE_PX)));
    this.state.names.slice(0, lanes).forEach((name, c) => {
      if (c % each) return;
      const text = brief(name, 5);
      context.fillText(text, MARGIN.left - 4, this.toPixels(0, (c + 0.5) / lanes)[1] + 4);
    });
  }

  drawPoints() {
    const context = this.clear(this.points);
    const { labels, colours, selectedClass, grid } = this.state;
    if (!labels) return;
    const { ratio, view: { x, y } } = this;
    const radius = this.width < 260 ? 1.1 : x.length > 5000 ? 1.5 : 2;
    const layer = new DotLayer(this.points.width, this.points.height, radius * ratio);
    const inks = colours.map(rgbOf);
    const [ux, uy] = this.unit(), [cx, cy] = this.centre();
    for (const chosen of selectedClass === null ? [null] : [false, true]) {
      const alpha = chosen === false ? 0.07 : grid ? 0.3 : 0.8;
      for (let i = 0; i < x.length; i++) {
        if (chosen !== null && (labels[i] === selectedClass) !== chosen) continue;
        const px = cx + (x[i] - this.zoom.x) / ux, py = cy - (y[i] - this.zoom.y) / uy;
        layer.add(px * ratio, py * ratio, inks[labels[i] % inks.length], alpha);
      }
    }
    layer.paint(context);
    this.drawClassNames(context);
  }

  /** The name of each class where its points are: colour alone is not for everyone. */
  drawClassNames(context) {
    const { labels, colours, selectedClass, names } = this.state;
    const style = getComputedStyle(this.element);
    context.textAlign = 'center';
    context.lineJoin = 'round';
    names.forEach((name, c) => {
      if (this.view.lanes) return;
      if (selectedClass === null ? name.length > 2 || names.length > MOST_NAMES : c !== selectedClass) return;
      const [px, py] = this.toPixels(...this.middleOf(c, labels));
      context.font = `700 ${this.width < 260 ? 11 : 15}px ${style.fontFamily}`;
      context.lineWidth = 4;
      context.strokeStyle = style.backgroundColor;
      const text = brief(name, MOST_LETTERS);
      context.strokeText(text, px, py + 5);
      context.fillStyle = colours[c % colours.length];
      context.fillText(text, px, py + 5);
    });
  }

  /** The median of a class's points, kept with the view. */
  middleOf(c, labels) {
    const { view } = this;
    view.middles ??= new Map();
    if (!view.middles.has(c)) {
      const members = [...labels.keys()].filter((i) => labels[i] === c);
      const median = (values) => Float32Array.from(members, (i) => values[i]).sort()[members.length >> 1] ?? NaN;
      view.middles.set(c, [median(view.x), median(view.y)]);
    }
    return view.middles.get(c);
  }

  drawEllipses() {
    if (!this.view || !this.width) return;
    this.ellipses.replaceChildren(
      ...this.state.ellipses.map(({ x, y, covariance }) => this.ellipseAt(this.toPixels(x, y), covariance)),
      ...this.state.arrows.flatMap((arrow) => this.arrowAt(this.toPixels(arrow.x, arrow.y), arrow)));
    for (const text of this.ellipses.querySelectorAll('text')) this.keepInside(text);
  }

  /** A name that would leave the map stands at its edge instead, above its arrow. */
  keepInside(text) {
    const { x, width } = text.getBBox(), at = Math.max(2, Math.min(this.width - width - 2, x));
    if (at === x) return;
    text.setAttribute('text-anchor', 'start');
    text.setAttribute('x', at);
    text.setAttribute('y', Math.max(14, Number(text.getAttribute('y')) - 16));
  }

  arrowAt([px, py], { across, up, name, inward = false }) {
    const far = [px + across, py - up], long = Math.hypot(across, up);
    if (long < 1) return [];
    const [dx, dy] = [across / long, -up / long], head = (inward ? -1 : 1) * Math.min(9, long), [x, y] = inward ? [px, py] : far;
    const text = svg('text', { x: far[0] + 6 * dx, y: far[1] + 6 * dy + 4, 'text-anchor': dx < 0 ? 'end' : 'start' });
    text.textContent = name;
    const corners = [[x, y], ...[-1, 1].map((side) => [x - head * dx - 0.5 * head * side * dy, y - head * dy + 0.5 * head * side * dx])];
    return [svg('line', { x1: px, y1: py, x2: far[0], y2: far[1] }), svg('polygon', { points: corners.map((corner) => corner.join(',')).join(' ') }), text];
  }

  /** 95 % of a Gaussian: an ellipse, or on a strip a bar. */
  ellipseAt([px, py], [xx, xy, yy]) {
    const [ux, uy] = this.unit();
    if (this.view.lanes) return svg('rect', { x: px - (WITHIN_1D * Math.sqrt(xx)) / ux, y: py - 2, width: (2 * WITHIN_1D * Math.sqrt(xx)) / ux, height: 4 });
    const { long, wide, degrees } = ellipseOf(xx / ux ** 2, -xy / (ux * uy), yy / uy ** 2);
    return svg('ellipse', { cx: px, cy: py, rx: WITHIN_2D * long, ry: WITHIN_2D * wide, transform: `rotate(${degrees} ${px} ${py})` });
  }

  drawMarks() {
    if (!this.view || !this.width) return;
    const context = this.clear(this.marks);
    const { probe, nearest, image, a, b, path, accent, pinned } = this.state.marks;
    const style = getComputedStyle(this.element);
    const { color: ink, backgroundColor: paper } = style;
    if (path && path.length) {
      context.beginPath();
      path.forEach(([x, y], i) => context[i ? 'lineTo' : 'moveTo'](...this.toPixels(x, y)));
      outline(context, paper, 3.5, ink, 1.5);
    }
    if (probe && nearest) {
      context.beginPath();
      context.moveTo(...this.toPixels(...nearest));
      context.lineTo(...this.toPixels(...probe));
      outline(context, paper, 3, accent, 1);
    }
    if (image) ring(context, this.toPixels(...image), 8, paper, ink);
    for (const [key, at] of [['A', a], ['B', b]]) if (at) badge(context, key, this.toPixels(...at), ink, paper, style.fontFamily);
    if (probe && this.view.lanes) this.drawPlumb(context, probe, paper, accent);
    if (probe) this.drawProbe(context, this.toPixels(...probe), { accent, paper, pinned });
  }

  /** On a strip the probe is a whole line: only the place along it means something. */
  drawPlumb(context, probe, paper, accent) {
    const [px] = this.toPixels(...probe);
    context.beginPath();
    context.moveTo(px, MARGIN.top);
    context.lineTo(px, this.height - MARGIN.bottom);
    outline(context, paper, 4, accent, 1.5);
  }

  /** The probe, held at the map's edge as a hollow ring when its code lies outside what is shown. */
  drawProbe(context, [px, py], { accent, paper, pinned }) {
    const x = Math.min(this.width - 6, Math.max(6, px)), y = Math.min(this.height - 6, Math.max(6, py));
    context.beginPath();
    context.arc(x, y, 6.5, 0, 2 * Math.PI);
    outline(context, paper, 5, accent, 2.5);
    if (x !== px || y !== py) return;
    context.beginPath();
    context.arc(x, y, pinned ? 3.2 : 1.5, 0, 2 * Math.PI);
    context.fillStyle = accent;
    context.fill();
  }

  clear(canvas) {
    const context = canvas.getContext('2d');
    context.clearRect(0, 0, this.width, this.height);
    return context;
  }

  panBy(dx, dy) {
    const [ux, uy] = this.unit();
    this.zoom.x -= dx * ux;
    this.zoom.y += dy * uy;
    this.draw();
  }

  /** "a" or "b" if that mark of the walk is under the pointer. */
  markAt(px, py) {
    const near = (at) => at && Math.hypot(...this.toPixels(...at).map((value, i) => value - [px, py][i])) < MARK_PX;
    return ['b', 'a'].find((key) => near(this.state.marks[key])) ?? null;
  }

  /** The data point under the pointer, or null. A faded class cannot be picked. */
  pointAt(px, py) {
    const { selectedClass, labels } = this.state;
    const [ux, uy] = this.unit(), [x, y] = this.toPlane(px, py);
    let index = null, best = TOUCH_PX ** 2;
    for (let i = 0; i < this.view.x.length; i++) {
      const distance = ((this.view.x[i] - x) / ux) ** 2 + ((this.view.y[i] - y) / uy) ** 2;
      if (distance < best && (selectedClass === null || labels[i] === selectedClass)) {
        best = distance;
        index = i;
      }
    }
    return index;
  }
}
