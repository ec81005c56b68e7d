/**
 * Gestures on a map, told in the plane's own units:
 * on.hover(x, y), on.press(x, y, first), on.drag(x, y), on.pick(index), on.moveMark(key, x, y), on.key(event),
 * on.undoPress() when two presses were a double click; first is false for the second of two.
 * on.key says whether it made use of the key. Zooming and panning need nobody else.
 */

import { onMove } from './dom.js';

const FAR_PX = 4, DOUBLE_MS = 500;

/**
 * @param {import('./map.js').LatentMap} map
 * @param {Record<string, Function>} on
 */
export function listenTo(map, on) {
  const { element } = map;
  /** @type {Map<number, number[]>} where each pressed pointer is, in pixels */
  const pointers = new Map();
  let gesture = null, lastPress = -Infinity;

  const place = (event) => {
    const box = element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  element.addEventListener('pointerdown', (event) => {
    if (!map.view || event.target.closest('button')) return;
    const at = place(event);
    element.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at);
    gesture = pointers.size > 1 ? { kind: 'pinch' } : started(map, event, at);
    if (gesture.kind !== 'probe') return;
    on.press(...map.toPlane(...at), event.timeStamp - lastPress > DOUBLE_MS);
    lastPress = event.timeStamp;
  });

  onMove(element, (event) => {
    if (!map.view) return;
    const at = place(event), last = pointers.get(event.pointerId);
    if (!last) {
      if (event.pointerType !== 'touch' && !event.target.closest('button')) on.hover(...map.toPlane(...at));
      return;
    }
    pointers.set(event.pointerId, at);
    if (gesture.kind === 'pinch') {
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) pinch(map, last, at, other);
    } else dragged(map, on, gesture, last, at);
  });

  const released = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (gesture.kind === 'probe' && !gesture.far && event.type === 'pointerup') {
      const index = map.pointAt(...place(event));
      if (index !== null) on.pick(index);
    }
  };
  element.addEventListener('pointerup', released);
  element.addEventListener('pointercancel', released);

  element.addEventListener('dblclick', (event) => {
    if (!map.view || event.target.closest('button')) return;
    map.resetZoom();
    if (gesture?.kind === 'probe') on.undoPress();
  });
  element.addEventListener('contextmenu', (event) => event.preventDefault());
  element.addEventListener('wheel', (event) => wheeled(map, event, place(event)), { passive: false });
  element.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const zoom = { '+': 1.5, '=': 1.5, '-': 1 / 1.5, 0: 0 }[event.key];
    if (zoom !== undefined) map.zoomBy(zoom, ...map.probePixels());
    else if (!on.key(event)) return;
    event.preventDefault();
    event.stopPropagation();
  });
}

/** What a press begins: panning (another button, or Shift), moving an end of the walk, or moving the probe. */
function started(map, event, at) {
  const mark = map.markAt(...at);
  const pans = event.button !== 0 || event.shiftKey;
  return { kind: pans ? 'pan' : mark ? 'mark' : 'probe', mark, start: at, far: false };
}

function dragged(map, on, gesture, last, at) {
  if (Math.hypot(at[0] - gesture.start[0], at[1] - gesture.start[1]) > FAR_PX) gesture.far = true;
  if (gesture.kind === 'pan') map.panBy(at[0] - last[0], at[1] - last[1]);
  else if (!gesture.far) return;
  else if (gesture.kind === 'mark') on.moveMark(gesture.mark, ...map.toPlane(...at));
  else on.drag(...map.toPlane(...at));
}

/** Two fingers: what lies between them stays between them. */
function pinch(map, last, at, other) {
  const span = (from) => Math.hypot(from[0] - other[0], from[1] - other[1]);
  map.panBy((at[0] - last[0]) / 2, (at[1] - last[1]) / 2);
  if (span(last) > 0) map.zoomBy(span(at) / span(last), (at[0] + other[0]) / 2, (at[1] + other[1]) / 2);
}

/** The wheel zooms; while all is shown, turning it back scrolls the page down, and a page scrolled down comes up first. */
function wheeled(map, event, at) {
  if (!map.view || (map.zoom.scale <= 1 && (event.deltaY > 0 || isScrolled(map.element)))) return;
  event.preventDefault();
  const factor = Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) / 250);
  if (map.zoom.scale * factor < 1) map.resetZoom();
  else map.zoomBy(factor, ...at);
}

/** Whether something around the element is scrolled down, also beyond its shadow root. */
function isScrolled(element) {
  for (let node = element; node; node = node.parentNode ?? node.host) if (node.scrollTop > 0) return true;
  return false;
}
