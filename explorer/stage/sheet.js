/**
 * The view as one sheet: both maps, the decoded and the nearest images, samples and walk, with what they are of. Vectors
 * where the screen has vectors, embedded images where it has images, every word as text. It opens on its own anywhere.
 */

import { imageOf } from './atlas.js';
import { short, svg, withText } from './dom.js';
import { drawMap, embedded } from './map_drawing.js';
import { draws } from './random.js';
import { COUNT, distributions } from './samples.js';
import { CHOICES } from './state.js';

export const SHEET = { width: 1288, scale: 2 };
const EDGE = 24, COLUMN = 600, GAP = 40, MAP = { width: 444, height: 400 }, PICTURE = 140, SMALL = 84, TILE = 42, WALK_FRAMES = 11;
const MOST_DIMS = 16, MOST_LETTERS = 40;

/** @param {import('./stage.js').Stage} stage  @returns {SVGElement} */
export function makeSheet(stage) {
  const { color: ink, backgroundColor: paper } = getComputedStyle(stage.host), models = stage.described(), { state } = stage;
  const sheet = svg('svg', { width: SHEET.width, 'font-family': 'system-ui, sans-serif', fill: ink });
  const text = (x, y, size, words, more = {}) => withText(svg('text', { x, y, 'font-size': size, ...more }), words);
  const soft = { 'fill-opacity': 0.7 }, add = (...nodes) => sheet.append(...nodes);
  add(withText(svg('title', {}), `${models[0].atlas.model.name} and ${models[1].atlas.model.name}`));
  const top = text(EDGE, 38, 20, 'Latent Explorer ', { 'font-weight': 700 });
  top.append(withText(svg('tspan', { dx: 8, 'font-size': 13, 'font-weight': 400, ...soft }), heading(stage)));
  add(top);

  let y = 56;
  y = legend(sheet, stage, text, y);
  models.forEach(({ side, atlas }, i) => {
    const left = EDGE + i * (COLUMN + GAP), panel = stage.panels[side], { accent } = panel.map.state.marks;
    add(text(left, y + 18, 16, panel.title.textContent, { 'font-weight': 700, fill: accent }), text(left, y + 38, 12.5, `${atlas.model.name}: ${panel.about.textContent}, ${atlas.model.epochs} epochs, seed ${atlas.model.seed}`, soft),
      text(left, y + 56, 12.5, panel.figures.textContent, soft));
    const map = drawMap(panel.map, { ...MAP, name: side }), right = left + MAP.width + 16;
    map.setAttribute('x', left);
    map.setAttribute('y', y + 70);
    add(map, text(right, y + 82, 12.5, 'decoded at the probe', { 'font-weight': 600 }), embedded(decoded(atlas, panel.z), square(right, y + 90, PICTURE)),
      text(right, y + 252, 12.5, `nearest real ${atlas.items.noun}`, { 'font-weight': 600 }));
    const nearest = imageOf(atlas, panel.nearestIndex);
    if (nearest) add(embedded(drawn(atlas, nearest, 1), square(right, y + 260, SMALL)));
    lines(panel.hole.textContent, 25).forEach((line, k) => add(text(right, y + 364 + 16 * k, 12, line, soft)));
    lines(`z = (${codeText(panel.z)})`, 74).forEach((line, k) => add(text(left, y + 490 + 17 * k, 12.5, line)));
    add(text(left, y + 526, 12, panel.trust.textContent, soft));
  });
  y += 562;

  add(text(EDGE, y, 15, `Samples, seed ${state.seed}, the same random numbers in each row`, { 'font-weight': 700 }),
    text(EDGE + COLUMN + GAP, y, 15, walkTitle(state), { 'font-weight': 700 }));
  const rows = models.flatMap(distributions), numbers = draws(state.seed, COUNT, state.d);
  rows.forEach((row, k) => {
    const top = y + 14 + k * (TILE + 8), { accent } = stage.panels[row.side].map.state.marks;
    add(text(EDGE, top + 12, 12.5, row.kind, { 'font-weight': 700, fill: accent }), ...lines(`from ${row.from}`, 15).map((line, i) => text(EDGE + 36, top + 12 + 15 * i, 12, line, soft)));
    numbers.forEach((number, i) => add(embedded(decoded(row.atlas, row.code(number)), square(EDGE + 150 + i * (TILE + 3), top, TILE))));
  });
  const steps = Array.from({ length: WALK_FRAMES }, (_, i) => stage.walk.codesAt(i / (WALK_FRAMES - 1)));
  models.forEach(({ kind, side, atlas }, k) => {
    const top = y + 14 + k * (TILE + 8), left = EDGE + COLUMN + GAP, { accent } = stage.panels[side].map.state.marks;
    add(text(left, top + 25, 12.5, kind, { 'font-weight': 700, fill: accent }));
    steps.forEach((codes, i) => add(embedded(decoded(atlas, codes[k]), square(left + 84 + i * (TILE + 3), top, TILE))));
  });
  y += 14 + Math.max(rows.length, 2) * (TILE + 8) + EDGE;

  sheet.setAttribute('height', y);
  sheet.setAttribute('viewBox', `0 0 ${SHEET.width} ${y}`);
  sheet.prepend(svg('rect', { width: SHEET.width, height: y, fill: paper }));
  return sheet;
}

/** The sheet's text, XML. What XML cannot hold (control characters, halves of pairs) becomes a mark of its own. */
export function asXml(sheet) {
  const xml = new XMLSerializer().serializeToString(sheet);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${xml.replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '\uFFFD')}`;
}

/** The sheet as pixels, twice as many as units each way. */
export async function asPng(xml) {
  const address = URL.createObjectURL(new Blob([xml], { type: 'image/svg+xml' }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.width * SHEET.scale, image.height * SHEET.scale];
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done, failed) => canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error('The picture is too large for this browser.'))), 'image/png'));
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** An item decoded from a code, in a canvas of its own. */
function decoded(atlas, z) {
  return drawn(atlas, atlas.decoder.decode(z), 255);
}

/** An item in a canvas of its own; an empty one for null. scale: what one unit of the values is in 0…255. */
export function drawn({ items }, values, scale) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [items.width, items.height];
  if (values) items.draw(canvas.getContext('2d'), values, scale, 0, 0);
  return canvas;
}

function heading({ catalogue, state }) {
  const word = (key) => CHOICES[key].find(({ value }) => value === state[key]).text;
  const behind = state.layer !== 'none' ? `layer: ${word('layer')}` : state.behind === 'grid' ? 'the decoded grid behind the points' : '';
  const only = state.class === null ? '' : `class ${catalogue.datasets[state.data].classes[state.class]}`;
  return [catalogue.datasets[state.data].title, `view: ${word('view')}`, `probes ${word('link')}`, behind, only].filter(Boolean).join(' · ');
}

function walkTitle({ d, walk, a, b }) {
  const end = ({ image }) => (image === undefined ? 'a code' : `image ${image}`), kind = CHOICES.walk.find(({ value }) => value === walk).text;
  return `Walk from ${end(a)} (A) to ${end(b)} (B)${d > 2 ? `, ${kind}` : ''}`;
}

/** The classes' names and colours, in as many lines as they need; where the next thing may begin. */
function legend(sheet, stage, text, top) {
  let x = EDGE, y = top;
  const { colours } = stage.panels.left.map.state, ruler = document.createElement('canvas').getContext('2d');
  ruler.font = '12.5px system-ui, sans-serif';
  stage.classes().forEach((whole, c) => {
    const letters = Array.from(whole), name = letters.length > MOST_LETTERS ? `${letters.slice(0, MOST_LETTERS - 1).join('')}…` : whole;
    const wide = 22 + ruler.measureText(name).width;
    if (x + wide > SHEET.width - EDGE && x > EDGE) [x, y] = [EDGE, y + 18];
    sheet.append(svg('circle', { cx: x + 5, cy: y + 4, r: 4.5, fill: colours[c % colours.length] }), text(x + 14, y + 8, 12.5, name));
    x += wide + 8;
  });
  return y + 18;
}

function square(x, y, side) {
  return { x, y, width: side, height: side };
}

function codeText(z) {
  return [...Array.from(z.subarray(0, MOST_DIMS), short), ...(z.length > MOST_DIMS ? ['…'] : [])].join(', ');
}

/** Words in lines of at most so many letters. */
function lines(words, most) {
  return words.split(' ').reduce((all, word) => {
    const last = all.at(-1);
    return last !== undefined && `${last} ${word}`.length <= most ? [...all.slice(0, -1), `${last} ${word}`] : [...all, word];
  }, []);
}
