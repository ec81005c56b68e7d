/**
 * A pad of 28 by 28 pixels to draw on: pen and eraser of any thickness, with undo; mouse, touch, or the arrow keys and the
 * space bar.
 */

import { choice, h, onMove, paint, pictureCanvas, setText } from './dom.js';
import { labelledSlider } from './tiles.js';
import { percent } from './views.js';

const SIDE = 28;
const REACH = { low: 0.8, high: 4, step: 0.2, usual: 1.6 }; // pixels around the pen that it colours
const MOST_UNDONE = 50;
const TOOLS = [{ value: 'pen', text: 'Pen' }, { value: 'eraser', text: 'Eraser' }];

/**
 * @param {{name: string, onDraw: (x: Float64Array) => void}} options  x: the drawing, [784] in [0, 1]
 */
export function makePad({ name, onDraw }) {
  const x = new Float64Array(SIDE * SIDE), before = [];
  let tool = 'pen', at = null, finger = null, cursor = [14, 14], reach = REACH.usual;
  const canvas = pictureCanvas(name, { width: SIDE, height: SIDE, className: 'sharp' });
  const mark = h('i', { class: 'pad-mark', 'aria-hidden': 'true' });
  const board = h('div', { class: 'pad', role: 'application', tabindex: 0, 'aria-label': `${name}: arrow keys move the pen, space draws` }, canvas, mark);
  const spoken = h('span', { class: 'only-spoken', role: 'status' });
  const tools = choice('Tool', TOOLS, tool, (value) => { tool = value; tools.show(value); });
  const thickness = labelledSlider({
    name: 'Thickness', low: REACH.low, high: REACH.high, step: REACH.step, text: (value) => `${(2 * value).toFixed(1)} pixels`,
    onInput: (value) => { reach = value; thickness.show(value); },
  });
  thickness.show(reach);
  const back = h('button', { type: 'button', onclick: undo }, 'Undo');
  const clear = h('button', { type: 'button', onclick: () => { remember(); x.fill(0); show(); } }, 'Clear');
  const element = h('div', { class: 'pad-tools' }, board, h('div', { class: 'picture-tools' }, tools.element, back, clear), thickness.element,
    h('p', { class: 'about pad-keys' }, 'By keyboard: arrow keys move the pen, space draws, Shift and an arrow key draw a line.'), spoken);
  board.addEventListener('pointerdown', (event) => {
    event.preventDefault();
    if (finger !== null || event.button !== 0) return; // a second finger draws no line from the first one's place
    finger = event.pointerId;
    board.setPointerCapture(finger);
    board.focus({ preventScroll: true });
    remember();
    at = place(event);
    draw(at, at);
  });
  onMove(board, (event) => {
    if (event.pointerId !== finger) return;
    const to = place(event);
    draw(at, to);
    at = to;
  });
  for (const type of ['pointerup', 'pointercancel', 'lostpointercapture']) board.addEventListener(type, ({ pointerId }) => { if (pointerId === finger) finger = null; });
  board.addEventListener('keydown', (event) => {
    if (event.key.toLowerCase() === 'z' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      return undo();
    }
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step && event.key !== ' ') return;
    event.preventDefault();
    if (step) cursor = cursor.map((value, i) => Math.min(SIDE - 1, Math.max(0, value + step[i])));
    if (event.key === ' ' || event.shiftKey) {
      if (!event.repeat) remember();
      draw(cursor, cursor);
    } else showMark();
    setText(spoken, `column ${cursor[0] + 1}, row ${cursor[1] + 1}, ${percent(x[cursor[1] * SIDE + cursor[0]])} ink`);
  });

  /** Keep what the pad shows, for Undo. */
  function remember() {
    before.push(x.slice());
    if (before.length > MOST_UNDONE) before.shift();
    back.disabled = false;
  }

  function undo() {
    if (!before.length) return;
    x.set(before.pop());
    back.disabled = !before.length;
    show();
  }

  function place({ clientX, clientY }) {
    const box = canvas.getBoundingClientRect();
    return [((clientX - box.left) / box.width) * SIDE - 0.5, ((clientY - box.top) / box.height) * SIDE - 0.5];
  }

  /** A stroke from one place to another: full in the middle, soft at the rim. */
  function draw(from, to) {
    const steps = Math.max(1, Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let step = 0; step <= steps; step++) stamp(from[0] + ((to[0] - from[0]) * step) / steps, from[1] + ((to[1] - from[1]) * step) / steps);
    cursor = to.map((value) => Math.min(SIDE - 1, Math.max(0, Math.round(value))));
    show();
  }

  function stamp(left, top) {
    for (let row = Math.max(0, Math.floor(top - reach)); row <= Math.min(SIDE - 1, top + reach); row++) {
      for (let column = Math.max(0, Math.floor(left - reach)); column <= Math.min(SIDE - 1, left + reach); column++) {
        const full = Math.min(1, Math.max(0, reach - Math.hypot(column - left, row - top))), i = row * SIDE + column;
        x[i] = tool === 'pen' ? Math.max(x[i], full) : Math.min(x[i], 1 - full);
      }
    }
  }

  function showMark() {
    mark.style.translate = `${(cursor[0] / SIDE) * 100}cqw ${(cursor[1] / SIDE) * 100}cqw`;
  }

  function repaint() {
    paint(canvas, x, [1, SIDE, SIDE], 255);
    showMark();
  }

  function show() {
    repaint();
    onDraw(x);
  }

  /** Other pixels; what was drawn can be had back. */
  function set(pixels) {
    if (x.some((value) => value > 0) && x.some((value, i) => value !== pixels[i])) remember();
    x.set(pixels);
    repaint();
  }
  back.disabled = true;
  repaint();
  return { element, x, set };
}
