/**
 * A pad to draw on, of the size of a model's images: pen and eraser of any thickness, with undo; mouse, touch, or the arrow
 * keys and the space bar. For images in colour there are some colours to choose.
 */

import { reshaped } from './bring.js';
import { choice, h, onMove, paint, pictureCanvas, setText } from './dom.js';
import { labelledSlider } from './tiles.js';
import { percent } from './views.js';

const REACH = { low: 0.8, high: 4, step: 0.2, usual: 1.6, side: 28 }; // pixels around the pen that it colours, on such a side
const MOST_UNDONE = 50;
const TOOLS = [{ value: 'pen', text: 'Pen' }, { value: 'eraser', text: 'Eraser' }];
const COLOURS = [
  { value: 'white', text: 'White', rgb: [1, 1, 1] }, { value: 'red', text: 'Red', rgb: [0.86, 0.15, 0.15] },
  { value: 'yellow', text: 'Yellow', rgb: [0.98, 0.83, 0.16] }, { value: 'green', text: 'Green', rgb: [0.16, 0.6, 0.24] },
  { value: 'blue', text: 'Blue', rgb: [0.16, 0.36, 0.86] },
];
const BLACK = [0, 0, 0];

/**
 * @param {{name: string, onDraw: () => void}} options  the pad is of 28 by 28 grey pixels until fit says otherwise
 */
export function makePad({ name, onDraw }) {
  let shape = [1, 28, 28], x = new Float64Array(784), before = [], base = x, cover = new Float64Array(784);
  let tool = 'pen', colour = COLOURS[0], at = null, finger = null, cursor = [14, 14], reach = REACH.usual;
  const canvas = pictureCanvas(name, { width: 28, height: 28, className: 'sharp' });
  const mark = h('i', { class: 'pad-mark', 'aria-hidden': 'true' });
  const board = h('div', { class: 'pad', role: 'application', tabindex: 0, 'aria-label': `${name}: arrow keys move the pen, space draws` }, canvas, mark);
  const spoken = h('span', { class: 'only-spoken', role: 'status' });
  const tools = choice('Tool', TOOLS, tool, (value) => { tool = value; tools.show(value); });
  const colours = choice('Colour', COLOURS, colour.value, (value) => {
    colour = COLOURS.find((one) => one.value === value);
    tool = 'pen';
    for (const one of [tools, colours]) one.show(one === tools ? tool : value);
  });
  const thickness = labelledSlider({
    name: 'Thickness', low: REACH.low, high: REACH.high, step: REACH.step, text: (value) => `${(2 * value).toFixed(1)} pixels`,
    onInput: (value) => { reach = value; thickness.show(value); },
  });
  thickness.show(reach);
  const back = h('button', { type: 'button', onclick: undo }, 'Undo');
  const clear = h('button', { type: 'button', onclick: () => { remember(); x.fill(0); show(); } }, 'Clear');
  const element = h('div', { class: 'pad-tools' }, board, h('div', { class: 'picture-tools' }, tools.element, colours.element, back, clear), thickness.element,
    h('p', { class: 'about pad-keys' }, 'By keyboard: arrow keys move the pen, space draws, Shift and an arrow key draw a line.'), spoken);
  board.addEventListener('pointerdown', (event) => {
    event.preventDefault();
    if (finger !== null || event.button !== 0) return; // a second finger draws no line from the first one's place
    finger = event.pointerId;
    board.setPointerCapture(finger);
    board.focus({ preventScroll: true });
    begin();
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
    if (step) cursor = inside(cursor.map((value, i) => value + step[i]));
    if (event.key === ' ' || event.shiftKey) {
      if (!event.repeat) begin();
      draw(cursor, cursor);
    } else showMark();
    setText(spoken, `column ${cursor[0] + 1}, row ${cursor[1] + 1}, ${inkAt(cursor)}`);
  });

  function inside([column, row]) {
    return [Math.min(shape[2] - 1, Math.max(0, column)), Math.min(shape[1] - 1, Math.max(0, row))];
  }

  function inkAt([column, row]) {
    const [channels, height, width] = shape, values = Array.from({ length: channels }, (_, c) => percent(x[c * height * width + row * width + column]));
    return channels === 1 ? `${values[0]} ink` : ['red', 'green', 'blue'].map((word, c) => `${word} ${values[c]}`).join(', ');
  }

  /** @returns {import('./bring.js').Pixels} a copy */
  function pixels() {
    return { data: x.slice(), width: shape[2], height: shape[1] };
  }

  /** Keep what the pad shows, for Undo. */
  function remember() {
    before.push(pixels());
    if (before.length > MOST_UNDONE) before.shift();
    back.disabled = false;
  }

  function undo() {
    if (!before.length) return;
    x.set(before.pop().data);
    back.disabled = !before.length;
    show();
  }

  function place({ clientX, clientY }) {
    const box = canvas.getBoundingClientRect(), [, height, width] = shape;
    return [((clientX - box.left) / box.width) * width - 0.5, ((clientY - box.top) / box.height) * height - 0.5];
  }

  /** A stroke begins: what is under it, and how much of each pixel it covers. */
  function begin() {
    remember();
    base = x.slice();
    cover.fill(0);
  }

  /** A stroke from one place to another: full in the middle, soft at the rim. */
  function draw(from, to) {
    const steps = Math.max(1, Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let step = 0; step <= steps; step++) stamp(from[0] + ((to[0] - from[0]) * step) / steps, from[1] + ((to[1] - from[1]) * step) / steps);
    cursor = inside(to.map(Math.round));
    show();
  }

  function stamp(left, top) {
    const [channels, height, width] = shape, ink = tool === 'eraser' ? BLACK : channels === 1 ? COLOURS[0].rgb : colour.rgb;
    for (let row = Math.max(0, Math.floor(top - reach)); row <= Math.min(height - 1, top + reach); row++) {
      for (let column = Math.max(0, Math.floor(left - reach)); column <= Math.min(width - 1, left + reach); column++) {
        const i = row * width + column;
        cover[i] = Math.max(cover[i], Math.min(1, Math.max(0, reach - Math.hypot(column - left, row - top))));
        for (let c = 0, at = i; c < channels; c++, at += height * width) x[at] = base[at] + cover[i] * (ink[c] - base[at]);
      }
    }
  }

  function showMark() {
    mark.style.translate = `${(cursor[0] / shape[2]) * 100}cqw ${(cursor[1] / shape[2]) * 100}cqw`; // pixels are square
  }

  function repaint() {
    paint(canvas, x, shape, 255);
    showMark();
  }

  function show() {
    repaint();
    onDraw();
  }

  /** Other pixels; what was drawn can be had back. */
  function set(pixels) {
    if (x.some((value) => value > 0) && x.some((value, i) => value !== pixels[i])) remember();
    x.set(pixels);
    repaint();
  }

  /**
   * The pad of another model's images, with what is drawn on it in their shape; so is what Undo brings back.
   * @param {number[]} wanted  [C, H, W]
   * @param {import('./bring.js').Pixels} shown
   */
  function fit(wanted, shown) {
    const [channels, height, width] = wanted, factor = Math.sqrt(height * width) / REACH.side;
    if (String(wanted) !== String(shape)) {
      before = before.map((one) => reshaped(one, wanted));
      [shape, cursor, cover] = [wanted, [width >> 1, height >> 1], new Float64Array(height * width)];
      reach = Math.max(1.5 * REACH.low, REACH.step * Math.round((REACH.usual * factor) / REACH.step));
      thickness.element.querySelector('input').max = Math.max(2 * REACH.low, REACH.high * factor).toFixed(1);
      thickness.show(reach);
    }
    x = reshaped(shown, wanted).data.slice();
    colours.element.hidden = channels === 1;
    for (const [side, value] of [['--columns', width], ['--rows', height]]) board.style.setProperty(side, value);
    repaint();
  }
  back.disabled = true;
  fit(shape, { data: x, width: 28, height: 28 });
  return { element, set, fit, get pixels() { return pixels(); } };
}
