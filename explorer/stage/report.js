/** What came of reading a data set: the balance of its classes, its features, and what was repaired or left out. */

import { h, setText } from './dom.js';

const SHOWN = 100; // rows of a long table before more are asked for
const FEW_FEATURES = 12;

/**
 * @typedef {{classes: {name: string, count: number, examples: string}[], features: [string, number, number][], rows: number[][],
 *            problems: {what: string, fate: string, count: number, items: string[]}[]}} Record  see explorer/bring/report.py
 */

export class Report {
  /**
   * @param {HTMLElement} host
   * @param {Record} record
   */
  constructor(host, record) {
    Object.assign(this, { host });
    host.classList.add('report');
    host.replaceChildren(...[classes(record), features(record), problems(record)].filter(Boolean));
    host.addEventListener('keydown', stopHotkeys);
    host.dataset.ready = 'true';
  }

  repaint() {}

  destroy() {
    this.host.removeEventListener('keydown', stopHotkeys);
    this.host.classList.remove('report');
  }
}

function classes({ classes: all, features: table }) {
  const most = Math.max(...all.map(({ count }) => count)), heads = ['Class', 'Items', 'Balance', ...(table.length ? [] : ['Examples'])];
  const rows = all.map(({ name, count, examples }) => () => [name, whole(count), balance(name, count, most), ...(pictures(name, examples))]);
  return makeTable('Classes', heads, rows);
}

function balance(name, count, most) {
  return h('meter', { min: 0, max: most, value: count, 'aria-label': `items of ${name}` });
}

/** Some items of a class in one picture, which the reading process drew; nothing else is an address here. */
function pictures(name, address) {
  return address.startsWith('data:image/png;base64,') ? [h('img', { src: address, alt: `images of ${name}` })] : [];
}

function features({ features: all, rows }) {
  if (!all.length) return null;
  const heads = ['Feature', 'Lowest', 'Highest', ...rows.map((_, i) => `Row ${i + 1}`)];
  const lines = all.map(([name, low, high], i) => () => [name, figure(low), figure(high), ...rows.map((row) => figure(row[i]))]);
  return makeTable('Features, scaled from their lowest to their highest value', heads, lines, FEW_FEATURES);
}

function problems({ problems: all }) {
  if (!all.length) return null;
  return makeTable('Problems', ['What', 'Done', 'Items', 'Which'], all.map(({ what, fate, count, items }) => () => {
    const more = count > items.length ? `and ${whole(count - items.length)} more` : '';
    return [what, fate, whole(count), h('div', {}, h('ul', {}, ...items.map((name) => h('li', { dir: 'auto' }, name))), more)];
  }));
}

/**
 * A table under a name that screen readers find, of which the first rows are there and more come by a button.
 * @param {string} caption
 * @param {string[]} heads
 * @param {(() => (string|Node)[])[]} rows  the cells of each, the first of which is its head
 * @param {number} first  how many are there at once
 */
function makeTable(caption, heads, rows, first = SHOWN) {
  const body = h('tbody');
  const spoken = h('span', { class: 'only-spoken', role: 'status' });
  const more = h('button', { type: 'button', onclick: () => { add(SHOWN); setText(spoken, `${whole(body.children.length)} of ${whole(rows.length)} rows`); } });
  const table = h('table', {}, h('caption', {}, caption), h('thead', {}, h('tr', {}, ...heads.map((text) => h('th', { scope: 'col' }, text)))), body);

  function add(count) {
    const from = body.children.length;
    body.append(...rows.slice(from, from + count).map((cells) => lineOf(cells())));
    const left = rows.length - body.children.length;
    setText(more, `Show ${whole(Math.min(left, SHOWN))} more of ${whole(left)}`);
    more.hidden = left === 0;
  }
  add(first);
  return h('div', { class: 'report-part' }, h('div', { class: 'report-table', role: 'region', tabindex: 0, 'aria-label': caption }, table), more, spoken);
}

function lineOf([first, ...rest]) {
  return h('tr', {}, h('th', { scope: 'row', dir: 'auto' }, first), ...rest.map((cell) => h('td', {}, cell)));
}

function whole(value) {
  return value.toLocaleString('en');
}

/** Five digits that matter. */
function figure(value) {
  return String(Number(value.toPrecision(5)));
}

/** Streamlit's own keys (r, c) are not meant while one reads here. */
function stopHotkeys(event) {
  if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
}
