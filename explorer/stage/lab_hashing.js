/** Hashing: a code of a few bits is an address; what lies a few bits away is alike. Searching by it, and what that costs and loses. */

import { bitsOf, countLabel, hamming, inBits, nearest, within } from './hamming.js';
import { choice, h, setText, svg } from './dom.js';
import { makeDocuments } from './lab_documents.js';
import { makeRun } from './lab_run.js';
import { chooseImage, copyTile, labelledSlider } from './tiles.js';

const SIZES = [8, 16, 32, 64], USUAL_SIZE = 32;
const METHODS = [
  { value: 'ae', text: 'AE', about: 'learned by the autoencoder' }, { value: 'itq', text: 'ITQ', about: 'PCA, turned so that rounding loses least' },
  { value: 'pca', text: 'PCA-sign', about: 'signs of the principal components' }, { value: 'lsh', text: 'LSH', about: 'random hyperplanes' },
];
const CONTROL = { value: 'random', text: 'random codes', about: 'the control' };
const SETS = [{ value: 'mnist', text: 'MNIST' }, { value: 'fashion-mnist', text: 'Fashion-MNIST' }];
const SHOWN = 24, NEIGHBOURS = 10, STRIP = 10, USUAL_SHARE = 0.01, ENOUGH_MS = 10, REPEATS = 9, REST_MS = 80;

export async function makeHashing(material) {
  const { query, full } = material, shipped = await material.result('hashing');
  const state = {
    method: query.one('method', METHODS.map(({ value }) => value)), bits: query.one('bits', [USUAL_SIZE, ...SIZES]), radius: null,
    query: Math.round(query.number('query', 0, shipped.record.queries - 1, 0)), data: query.one('data', SETS.map(({ value }) => value)), all: false, runs: 0, turn: 0,
    result: null, images: null, distances: null, exact: null, waiting: 0,
  };
  const set = (key, control) => (value) => { state[key] = value; query.set({ [key]: value }); control().show(value); };
  const sizes = choice('Bits', SIZES.map((value) => ({ value, text: String(value) })), state.bits, (value) => { set('bits', () => sizes)(value); state.radius = usualRadius(); showCodes(); }, 'Bits');
  const methods = choice('Code', METHODS, state.method, (value) => { set('method', () => methods)(value); showCodes(); }, 'Code');
  const picker = chooseImage({ n: shipped.record.queries }, chooseQuery), asked = h('div'), strip = h('div', { class: 'hash-strip', role: 'group', 'aria-label': 'Queries to choose from' });
  const codes = h('div', { class: 'hash-codes' });
  const makeSlider = () => labelledSlider({
    name: 'Hamming radius', low: 0, high: state.bits, step: 1, text: (value) => `${value} of ${state.bits} bits`,
    onInput: (value) => { state.radius = value; query.set({ radius: value }); showBucket(); },
  });
  const place = h('div'), bucket = h('div', { class: 'lab-row hash-tiles', role: 'group', 'aria-label': 'The bucket' });
  const summary = h('p', { class: 'formula', role: 'status' }), more = h('p', { class: 'about' });
  const filtered = makeSearch('Only the bucket, re-ranked exactly'), whole = makeSearch('All images, exactly'), compared = h('p', { class: 'about' });
  const charts = ['precision', 'recall'].map(makeCurves), figures = h('table', { class: 'lab-figures' }), said = h('p', { class: 'about' });
  const problem = h('p', { role: 'alert', hidden: true });
  const sets = choice('Data', SETS, state.data, (value) => { set('data', () => sets)(value); showAll(); }, 'Data');
  const all = h('input', { type: 'checkbox', onchange: () => { state.all = all.checked; } });
  const allLabel = h('label', {}, all, ' all 60,000 images');
  const run = makeRun({
    lab: 'hashing', material, text: 'Compute it all again here', settings: () => ({ dataset: state.data, full: state.all && full[state.data], epochs: 10, seed: ++state.runs }),
    onResult: show, onBack: () => show(shipped),
  });
  const documents = makeDocuments(material);
  let slider = null;

  function showAll() {
    allLabel.hidden = !full[state.data];
  }

  /** The radius within which a mean query of the autoencoder finds a hundredth of all. */
  function usualRadius() {
    query.set({ radius: null });
    return state.result.record.methods.ae[state.bits].retrieved.findIndex((share) => share >= USUAL_SHARE);
  }

  const radiusInAddress = () => {
    const found = query.number('radius', 0, state.bits, null);
    return found === null ? null : Math.round(found);
  };

  /** Show a result, once the images that it searched are here. What was shown stays until then. */
  async function show(result) {
    const mine = ++state.turn, { record } = result;
    try {
      const images = await material.training(record.dataset, { all: record.n_train > 10_000 });
      if (mine !== state.turn) return;
      if (images.n !== record.n_train) throw new Error(`The server has ${images.n.toLocaleString('en')} images now, the result is about ${record.n_train.toLocaleString('en')}.`);
      Object.assign(state, { result, images });
      state.radius ??= radiusInAddress() ?? usualRadius();
      showTable();
      chooseQuery(Math.min(state.query, record.queries - 1));
      problem.hidden = true;
    } catch (error) {
      if (result === shipped && !state.result) throw error;
      if (mine !== state.turn) return;
      setText(problem, `This result cannot be shown. ${error.message}`);
      problem.hidden = false;
    }
  }

  const array = (name) => state.result.arrays[name].data;
  const bytes = (i) => array('query_images').subarray(784 * i, 784 * (i + 1));
  const label = (i) => array('query_labels')[i];
  const unit = (i) => Float64Array.from(bytes(i), (byte) => byte / 255);
  const code = (method) => array(`${method}.${state.bits}.queries`).subarray(state.query * state.bits / 8, (state.query + 1) * state.bits / 8);
  const name = (i) => state.images.classes[label(i)];

  function chooseQuery(i) {
    if (i !== state.query) query.set({ query: i });
    state.query = i;
    state.exact = null;
    picker.show(i);
    asked.replaceChildren(copyTile(name(i), unit(i), 'the query', 'ae'));
    const first = STRIP * Math.floor(i / STRIP), held = strip.contains(strip.getRootNode().activeElement);
    strip.replaceChildren(...Array.from({ length: Math.min(STRIP, state.result.record.queries - first) }, (_, k) => queryButton(first + k)));
    if (held) strip.children[i - first].focus();
    showCodes();
  }

  function queryButton(i) {
    const tile = copyTile(name(i), unit(i), '');
    return h('button', { type: 'button', class: 'bare', 'aria-label': `Query ${i}: ${name(i)}`, 'aria-pressed': String(i === state.query), onclick: () => chooseQuery(i) }, tile.firstChild);
  }

  /** The query's code by every method, and its distances by the chosen one. */
  function showCodes() {
    codes.replaceChildren(...METHODS.map(({ value, text, about }) => {
      const bits = bitsOf(code(value)), on = value === state.method;
      return h('div', { class: on ? 'chosen' : '' }, h('span', { title: about }, text), h('span', { class: 'hash-bits', role: 'img', 'aria-label': `${text} code: ${bits}` }, ...Array.from(bits, (bit) => h('i', { class: bit === '1' ? 'on' : '' }))));
    }));
    state.distances = timed(() => hamming(code(state.method), array(`${state.method}.${state.bits}.base`)));
    slider = makeSlider();
    place.replaceChildren(slider.element);
    showBucket();
  }

  function showBucket() {
    const { images, radius, distances, query: i } = state, filter = timed(() => within(distances.value, radius)), found = filter.value;
    const { right, relevant } = countLabel(found, images.labels, label(i)), share = (part, whole) => (whole ? part / whole : 0).toFixed(3);
    slider.show(radius);
    setText(summary, found.length
      ? `${found.length.toLocaleString('en')} of ${images.n.toLocaleString('en')} images within ${inBits(radius)}. Precision ${share(right, found.length)}, recall ${share(right, relevant)} for this query (same class: ${name(i)})`
      : `Nothing lies within ${inBits(radius)}: this query is not served, and its precision counts as 0`);
    bucket.replaceChildren(...Array.from(found.subarray(0, SHOWN), (one) => tile(one, inBits(distances.value[one]))));
    setText(more, found.length > SHOWN ? `The first ${SHOWN}, by distance.` : '');
    clearTimeout(state.waiting);
    state.waiting = setTimeout(showSearch, REST_MS, found, distances.ms + filter.ms);
    charts.forEach((chart) => chart.show(state.result.record.methods, state));
  }

  /** Both searches once the hand rests: exact ones look at many pixels. */
  function showSearch(found, filterMs) {
    state.exact ??= timed(() => nearest(bytes(state.query), state.images.data, NEIGHBOURS));
    const ranked = timed(() => nearest(bytes(state.query), state.images.data, NEIGHBOURS, found)), best = new Set(state.exact.value), same = ranked.value.filter((i) => best.has(i)).length;
    filtered.show(ranked.value, `${found.length.toLocaleString('en')} images compared, ${(filterMs + ranked.ms).toFixed(2)} ms in this browser, finding the bucket included`);
    whole.show(state.exact.value, `${state.images.n.toLocaleString('en')} images compared, ${state.exact.ms.toFixed(2)} ms in this browser`);
    const kept = state.result.record.methods[state.method][state.bits].kept[state.radius];
    setText(compared, `${same} of the ${NEIGHBOURS} exactly nearest are in the bucket. Over all ${state.result.record.queries} queries: ${(NEIGHBOURS * kept).toFixed(1)} at this radius.`);
  }

  /** An image, and in colour, sign and word whether it is of the query's class. */
  function tile(i, text) {
    const { images } = state, same = images.labels[i] === label(state.query), element = copyTile(images.classes[images.labels[i]], images.unit(i), text, same ? 'same' : 'other');
    element.dataset.index = i;
    element.lastChild.append(h('span', { class: 'mark' }, same ? '✓ same' : '✕ other'));
    return element;
  }

  function makeSearch(title) {
    const row = h('div', { class: 'lab-row', role: 'group', 'aria-label': title }), text = h('p', { class: 'about' });
    const showIt = (found, words) => {
      row.replaceChildren(...found.map((i) => tile(i, `image ${i}`)));
      setText(text, words);
    };
    return { element: h('div', {}, h('h3', {}, title), text, row), show: showIt };
  }

  function showTable() {
    const { record } = state.result, { ae, itq } = record.methods, wins = record.bits.filter((bits) => ae[bits].map > itq[bits].map);
    const row = ({ value, text, about }) => h('tr', {}, h('th', { scope: 'row' }, text), ...record.bits.map((bits) => h('td', {}, record.methods[value][bits].map.toFixed(3))), h('td', { class: 'about' }, about));
    const wide = (text, value, about) => h('tr', {}, h('th', { scope: 'row' }, text), h('td', { colspan: record.bits.length }, value.toFixed(3)), h('td', { class: 'about' }, about));
    figures.replaceChildren(
      h('caption', {}, `Mean average precision, ${record.queries} held-out queries, ${record.n_train.toLocaleString('en')} ${state.images.title} images`),
      h('tr', {}, ...['', ...record.bits.map((bits) => `${bits} bits`), ''].map((text) => h('th', { scope: 'col' }, text))),
      ...METHODS.map(row), row(CONTROL), wide('chance', record.chance, 'the share of images of the same class'), wide('exact pixels', record.exact.map, 'all images by Euclidean distance'));
    setText(said, `Ties: of images at the same distance every order is taken as equally likely, and the expected average precision is given. ${wins.length ? `The autoencoder is ahead of ITQ at ${wins.join(', ')} bits` : 'The autoencoder is behind ITQ at every size'}${wins.length && wins.length < record.bits.length ? ', not at the others' : ''}. Exact pixel search is no ceiling: what counts is the class, and a code may know more about that than pixels do.`);
  }

  const element = h('div', { class: 'lab' },
    problem,
    h('div', { class: 'picture-tools' }, sizes.element, methods.element),
    h('div', { class: 'hash-query' }, asked, h('div', {}, picker.element, strip), codes),
    place, summary, bucket, more,
    h('h2', {}, 'Search by address, then look closely'), h('div', { class: 'hash-search' }, filtered.element, whole.element), compared,
    h('h2', {}, 'How good the addresses are'), h('div', { class: 'lab-columns' }, ...charts.map((chart) => chart.element)),
    h('div', { class: 'lab-columns' }, h('div', { class: 'wide' }, figures), said),
    h('div', { class: 'picture-tools' }, sets.element, allLabel), run.element,
    h('h2', {}, 'Your own text'), documents.element);
  showAll();
  await show(shipped);
  return { element, destroy: () => { state.turn++; clearTimeout(state.waiting); run.destroy(); documents.destroy(); } };
}

/** What it gives and the median of its times: repeated while that is quick, since browsers' clocks are coarse. */
function timed(action) {
  const times = [], begun = performance.now();
  let value;
  do {
    const start = performance.now();
    value = action();
    times.push(performance.now() - start);
  } while (times.length < REPEATS && performance.now() - begun < ENOUGH_MS);
  return { value, ms: times.sort((a, b) => a - b)[times.length >> 1] };
}

const WIDTH = 420, HEIGHT = 190, LEFT = 34, RIGHT = 412, TOP = 8, BOTTOM = 164;

/** One measure against the radius: a line style for each method, its value at the chosen radius below. */
function makeCurves(measure) {
  const title = `${measure[0].toUpperCase()}${measure.slice(1)}`, legend = h('p', { class: 'chart-legend' });
  const drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': title });
  const write = (text, attributes) => { const made = svg('text', attributes); made.textContent = text; return made; };

  function show(methods, { bits, radius, method }) {
    const x = (value) => LEFT + (value / bits) * (RIGHT - LEFT), y = (value) => BOTTOM - value * (BOTTOM - TOP);
    const drawn = [CONTROL, ...METHODS.filter(({ value }) => value !== method), ...METHODS.filter(({ value }) => value === method)];
    const words = [...METHODS, CONTROL].map(({ value, text }) => ({ value, text: `${text} ${methods[value][bits][measure][radius].toFixed(3)}` }));
    drawing.replaceChildren(
      ...[0, 0.5, 1].flatMap((value) => [svg('line', { x1: LEFT, x2: RIGHT, y1: y(value), y2: y(value), class: 'rule' }), write(value, { x: LEFT - 6, y: y(value) + 4, 'text-anchor': 'end' })]),
      ...[0, 0.25, 0.5, 0.75, 1].map((part) => write(part * bits, { x: x(part * bits), y: BOTTOM + 17, 'text-anchor': 'middle' })),
      svg('line', { x1: x(radius), x2: x(radius), y1: TOP, y2: BOTTOM, class: 'here' }),
      ...drawn.map(({ value }) => svg('polyline', { class: `curve ${value} ${value === method ? 'chosen' : ''}`, points: methods[value][bits][measure].map((one, i) => `${x(i).toFixed(1)},${y(one).toFixed(1)}`).join(' ') })));
    drawing.setAttribute('aria-label', `${title} within ${radius} of ${bits} bits: ${words.map(({ text }) => text).join(', ')}`);
    legend.replaceChildren(...words.map(({ value, text }) => {
      const sample = svg('svg', { viewBox: '0 0 34 8', class: 'sample', 'aria-hidden': 'true' });
      sample.append(svg('polyline', { class: `curve ${value} ${value === method ? 'chosen' : ''}`, points: '0,4 34,4' }));
      return h('span', {}, sample, text);
    }));
  }
  return { element: h('figure', { class: 'chart hash-curves' }, h('figcaption', {}, h('b', {}, title), ` against the Hamming radius, mean over all queries${measure === 'precision' ? '; 0 where nothing is found' : ''}`), drawing, legend), show };
}
