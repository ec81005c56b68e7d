/** Small helpers around the DOM. All text goes in as text, never as HTML. */

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, any>} attributes  on… are listeners, the rest attributes; false and null are left out. style goes
 *     in by property: content security policies forbid the attribute
 * @param {...(Node|string|null)} children
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') element.style.cssText = value;
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Set text only when it differs, so that nothing is laid out anew for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A canvas that shows one image, under a name that screen readers and tests can find.
 * @param {string} name
 * @param {{width: number, height: number, className?: string}} options
 */
export function pictureCanvas(name, { width, height, className = '' }) {
  return h('canvas', { role: 'img', 'aria-label': name, width, height, class: `picture ${className}` });
}

/**
 * Paint an image into a canvas of its size.
 * @param {HTMLCanvasElement} canvas
 * @param {ArrayLike<number>} pixels  channel by channel, [C, H, W]
 * @param {number[]} shape  [C, H, W], C 1 (grey) or 3 (colour)
 * @param {number} scale  what one unit is in 0…255: 255 for [0, 1], 1 for bytes
 */
export function paint(canvas, pixels, shape, scale) {
  const [, height, width] = shape;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  drawPixels(canvas.getContext('2d'), pixels, shape, scale, 0, 0);
}

/** Draw an image at a place in a larger canvas; the rest as for paint. */
export function drawPixels(context, pixels, [channels, height, width], scale, left, top) {
  const image = context.createImageData(width, height);
  const size = width * height;
  const [green, blue] = channels === 3 ? [size, 2 * size] : [0, 0];
  for (let i = 0; i < size; i++) {
    image.data[4 * i] = Math.round(pixels[i] * scale);
    image.data[4 * i + 1] = Math.round(pixels[i + green] * scale);
    image.data[4 * i + 2] = Math.round(pixels[i + blue] * scale);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, left, top);
}

/** A row of buttons of which one is chosen (a radio group: arrow keys move the choice). shortLabel: on small screens. */
export function choice(label, options, chosen, onChoose, shortLabel = null) {
  const buttons = options.map(({ value, text }) =>
    h('button', { type: 'button', role: 'radio', 'data-value': value, onclick: () => onChoose(value) }, text));
  const group = h('div', { class: 'choice', role: 'radiogroup', 'aria-label': label }, ...buttons);
  group.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const open = buttons.filter((button) => !button.disabled);
    const next = open[(open.indexOf(event.target) + step + open.length) % open.length];
    next.focus();
    next.click();
  });
  const show = (value) => buttons.forEach((button) => {
    const on = button.dataset.value === String(value);
    button.setAttribute('aria-checked', String(on));
    button.tabIndex = on ? 0 : -1;
  });
  /** why: what a choice that cannot be made says about it, or null if it can. */
  const bar = (value, why) => {
    const button = buttons.find(({ dataset }) => dataset.value === value);
    button.disabled = why !== null;
    button.title = why ?? '';
  };
  show(chosen);
  return { element: h('div', { class: 'switch' }, h('span', { class: 'label', 'data-short': shortLabel }, label), group), show, bar };
}

/**
 * A row of images to press: one stop of the Tab key, arrow keys within.
 * @param {string} className
 * @param {HTMLCanvasElement[]} canvases
 * @param {(index: number) => void} onChoose
 * @param {string} does  what a press does
 */
export function strip(className, canvases, onChoose, does = 'put the probe here') {
  const buttons = canvases.map((canvas, i) => h('button', {
    type: 'button', class: 'bare', tabindex: i ? -1 : 0, title: does[0].toUpperCase() + does.slice(1),
    'aria-label': `${canvas.getAttribute('aria-label')}: ${does}`, onclick: () => onChoose(i),
  }, canvas));
  const element = h('span', { class: `strip ${className}`, role: 'group' }, ...buttons);
  element.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next = step && buttons[buttons.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/** Make an element of a drawing. */
export function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** An element of a drawing with these words in it. */
export function withText(element, words) {
  element.textContent = words;
  return element;
}

/** A small drawing of one shape, stretched to whatever place the styles give it; screen readers pass it by. */
export function svgShape(width, height, tag, attributes) {
  const drawing = svg('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  drawing.append(svg(tag, attributes));
  return drawing;
}

/** Round for the eye: three significant digits, no exponent in the usual range. */
export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e5) return value.toExponential(1);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** A name of so many letters at most; an emoji is one letter. */
export function brief(name, most) {
  const letters = Array.from(name);
  return letters.length > most ? `${letters.slice(0, most - 1).join('')}…` : name;
}

const RAW_MS = 8;

/**
 * Listen to a pointer's movements as soon as they are known. Browsers hold pointermove back until the next frame and tell
 * pointerrawupdate at once; a mouse that reports 1,000 times a second is heard 125 times.
 * @param {HTMLElement} element
 * @param {(event: PointerEvent) => void} handler  called once for each new place
 */
export function onMove(element, handler) {
  const last = new Map();
  const heard = (event) => {
    const before = last.get(event.pointerId);
    if (event.type === 'pointerrawupdate' && before && event.timeStamp - before.time < RAW_MS) return;
    if (before && before.x === event.clientX && before.y === event.clientY) return;
    last.set(event.pointerId, { x: event.clientX, y: event.clientY, time: event.timeStamp });
    handler(event);
  };
  for (const type of ['pointerrawupdate', 'pointermove']) element.addEventListener(type, heard);
  // After it went elsewhere, or was pressed, the same place is news again.
  for (const type of ['pointerleave', 'pointerdown', 'pointerup']) element.addEventListener(type, (event) => last.delete(event.pointerId));
}
