/**
 * A picture of points in [-1, 1], in which one can choose some: press a point, or pull a box around several. With keys:
 * arrows move a cross, with shift they are faster; Enter chooses the points around it, Escape none.
 */

import { h, onMove } from './dom.js';

const REACH_PX = 14, AROUND = 30, FEW_PX = 5;
const STEP = 0.03, FAST = 0.15;

/**
 * @param {{name: string, onChoose: (chosen: number[], one: boolean) => void, onHover: (index: number|null) => void}} options
 */
export function makeScatter({ name, onChoose, onHover }) {
  const canvas = h('canvas', { role: 'application', tabindex: 0, class: 'scatter', 'aria-label': `${name}: arrow keys move a cross, Enter chooses the points around it` });
  const state = { points: null, classes: null, colours: [], chosen: null, hovered: null, picked: null, cross: null, box: null, size: 0 };
  const watcher = new ResizeObserver(([{ contentRect }]) => { state.size = Math.round(contentRect.width); draw(); });
  watcher.observe(canvas);
  let from = null;
  const toPx = (value, up) => ((up ? 1 - (value + 1.05) / 2.1 : (value + 1.05) / 2.1)) * state.size;
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const px = (i) => [toPx(state.points[2 * i], false), toPx(state.points[2 * i + 1], true)];

  /** Indices by their distance from a place in pixels. */
  function near([x, y]) {
    const away = Array.from({ length: state.points.length / 2 }, (_, i) => { const [a, b] = px(i); return [Math.hypot(a - x, b - y), i]; });
    return away.sort((a, b) => a[0] - b[0]);
  }

  canvas.addEventListener('pointerdown', (event) => { if (!state.points) return; canvas.setPointerCapture(event.pointerId); from = at(event); state.box = null; canvas.focus({ preventScroll: true }); });
  onMove(canvas, (event) => {
    if (!state.points) return;
    const [x, y] = at(event);
    if (!from) {
      const [nearest] = near([x, y]);
      return onHover(nearest && nearest[0] < REACH_PX ? nearest[1] : null);
    }
    if (Math.hypot(x - from[0], y - from[1]) < FEW_PX) return;
    state.box = [Math.min(x, from[0]), Math.min(y, from[1]), Math.max(x, from[0]), Math.max(y, from[1])];
    onChoose(inside(state.box), false);
  });
  canvas.addEventListener('pointerup', (event) => {
    if (from && !state.box) {
      const [nearest] = near(at(event));
      onChoose(nearest && nearest[0] < REACH_PX ? [nearest[1]] : [], true);
    }
    from = state.box = null;
    draw();
  });
  canvas.addEventListener('pointercancel', () => { from = state.box = null; draw(); });
  canvas.addEventListener('pointerleave', () => onHover(null));
  canvas.addEventListener('blur', () => { state.cross = null; draw(); });
  canvas.addEventListener('keydown', (event) => {
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!state.points || (!step && !['Enter', 'Escape'].includes(event.key))) return;
    event.preventDefault();
    const cross = state.cross ?? [0, 0];
    if (step) state.cross = cross.map((value, i) => Math.min(1, Math.max(-1, value + step[i] * (event.shiftKey ? FAST : STEP))));
    if (event.key === 'Enter') onChoose(near([toPx(cross[0], false), toPx(cross[1], true)]).slice(0, AROUND).map(([, i]) => i), false);
    if (event.key === 'Escape') onChoose([], false);
    draw();
  });

  function inside([left, top, right, bottom]) {
    return [...Array(state.points.length / 2).keys()].filter((i) => { const [x, y] = px(i); return x >= left && x <= right && y >= top && y <= bottom; });
  }

  function draw() {
    const { points, size, chosen, colours, classes, hovered, picked, cross, box } = state;
    if (!points || !size) return;
    const dense = window.devicePixelRatio || 1;
    if (canvas.width !== size * dense) [canvas.width, canvas.height] = [size * dense, size * dense];
    const context = canvas.getContext('2d'), { color } = getComputedStyle(canvas);
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, size, size);
    const dot = (i, radius) => { const [x, y] = px(i); context.beginPath(); context.arc(x, y, radius, 0, 7); };
    for (let i = 0; i < points.length / 2; i++) {
      context.globalAlpha = chosen && !chosen.has(i) ? 0.12 : 0.85;
      context.fillStyle = classes ? colours[classes[i]] : color;
      dot(i, chosen?.has(i) ? 3 : 2.2);
      context.fill();
    }
    context.globalAlpha = 1;
    context.strokeStyle = color;
    context.lineWidth = 2;
    for (const i of [picked, hovered]) if (i !== null && i < points.length / 2) { dot(i, 6); context.stroke(); }
    if (cross) {
      const [x, y] = [toPx(cross[0], false), toPx(cross[1], true)];
      context.strokeRect(x - 7, y, 14, 0.5);
      context.strokeRect(x, y - 7, 0.5, 14);
    }
    if (box) { context.setLineDash([4, 3]); context.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]); context.setLineDash([]); }
  }
  return { element: canvas, set: (values) => { Object.assign(state, values); draw(); }, destroy: () => watcher.disconnect() };
}
