/** Hashing of texts somebody brings along: a document's bucket by its code, beside what is nearest by its words. */

import { hamming, inBits, within } from './hamming.js';
import { choice, h, setText } from './dom.js';
import { makeRun } from './lab_run.js';
import { labelledSlider } from './tiles.js';

const MOST_BYTES = 5_000_000, PAGE = 10, SHOWN = 24;
const SIZES = [8, 16, 32, 64], USUAL_SIZE = 32;
const METHODS = { ae: 'AE', itq: 'ITQ', pca: 'PCA-sign', lsh: 'LSH', random: 'random codes: the control' };

export function makeDocuments(material) {
  const { query } = material;
  const state = { bits: query.one('text-bits', [USUAL_SIZE, ...SIZES]), file: null, runs: 0, result: null, texts: [], listed: [], from: 0, document: 0, radius: 0 };
  const input = h('input', { type: 'file', accept: '.txt,.csv', onchange: take });
  const taken = h('p', { class: 'about', role: 'status' });
  const sizes = choice('Bits of a document', SIZES.map((value) => ({ value, text: String(value) })), state.bits, (value) => { state.bits = value; query.set({ 'text-bits': value }); sizes.show(value); }, 'Bits');
  const run = makeRun({
    lab: 'documents', material, text: 'Hash these documents',
    settings: () => ({ name: `documents${ending(state.file)}`, bits: state.bits, seed: ++state.runs }),
    file: async () => {
      if (!state.file) throw new Error('Choose a .txt or .csv file first.');
      return state.file.arrayBuffer().then((content) => new Blob([content]), forget);
    },
    onResult: show,
  });
  const place = h('div', { class: 'lab', hidden: true });
  const list = makeList('Documents'), bucket = makeList('Bucket by the AE’s code'), exact = makeList('Nearest by their words');
  const find = h('input', { type: 'search', 'aria-label': 'Only documents with', placeholder: 'only with …', oninput: () => { state.from = 0; filter(); } });
  const paged = h('span', { class: 'about' }), chosen = h('blockquote'), summary = h('p', { class: 'formula', role: 'status' }), slot = h('div');
  const figures = h('table', { class: 'lab-figures' }), said = h('p', { class: 'about' });
  const step = (text, by) => h('button', { type: 'button', onclick: () => { const last = PAGE * Math.floor(Math.max(0, state.listed.length - 1) / PAGE); state.from = Math.min(last, Math.max(0, state.from + by)); showList(); } }, text);
  let slider = null;

  function take() {
    const [file] = input.files;
    state.file = null;
    if (!file) setText(taken, '');
    else if (!ending(file)) setText(taken, `“${file.name.slice(0, 60)}” is neither a .txt nor a .csv file. Choose one of these.`);
    else if (file.size > MOST_BYTES) setText(taken, `This file has ${(file.size / 1e6).toFixed(1)} MB; at most ${MOST_BYTES / 1e6} MB can be taken. Choose a part of it.`);
    else [state.file] = [file, setText(taken, `${file.name.slice(0, 60)}, ${(file.size / 1000).toFixed(1)} kB`)];
  }

  /** Browsers do not let a file be read that was changed after it was chosen. */
  function forget() {
    input.value = '';
    take();
    throw new Error('The file was changed or moved after it was chosen. Choose it again.');
  }

  function show(result) {
    const { texts, starts } = result.arrays, decoder = new TextDecoder();
    state.result = result;
    state.texts = Array.from({ length: result.record.documents }, (_, i) => decoder.decode(texts.data.subarray(starts.data[i], starts.data[i + 1])));
    slider = labelledSlider({
      name: 'Radius in bits', low: 0, high: result.record.bits[0], step: 1, text: (value) => `${value} of ${result.record.bits[0]} bits`,
      onInput: (value) => { state.radius = value; query.set({ 'text-radius': value }); showBucket(); },
    });
    slot.replaceChildren(slider.element);
    state.radius = Math.round(query.number('text-radius', 0, result.record.bits[0], result.record.bits[0] / 8));
    state.from = 0;
    find.value = '';
    place.hidden = false;
    showFigures();
    choose(Math.round(query.number('document', 1, state.texts.length, 1)) - 1, false);
    filter();
  }

  function filter() {
    const wanted = find.value.trim().toLowerCase();
    state.listed = state.texts.flatMap((text, i) => (text.toLowerCase().includes(wanted) ? [i] : []));
    showList();
  }

  function showList() {
    const { listed, from } = state, last = Math.min(from + PAGE, listed.length);
    setText(paged, listed.length ? `${(from + 1).toLocaleString('en')} to ${last.toLocaleString('en')} of ${listed.length.toLocaleString('en')}` : 'none');
    list.show(listed.slice(from, last).map((i) => ({ i, about: '' })));
  }

  function choose(i, told = true) {
    state.document = i;
    if (told) query.set({ document: i + 1 });
    chosen.replaceChildren(h('b', {}, `Document ${i + 1}: `), state.texts[i]);
    list.mark();
    showBucket();
  }

  function showBucket() {
    const { arrays, record } = state.result, { document: i, radius } = state, width = record.bits[0] / 8, codes = arrays.ae.data;
    const distances = hamming(codes.subarray(i * width, (i + 1) * width), codes), found = within(distances, radius).filter((one) => one !== i);
    const near = Array.from(arrays.nearest.data.subarray(i * arrays.nearest.shape[1], (i + 1) * arrays.nearest.shape[1])), wanted = new Set(near), inside = new Set(found);
    slider.show(radius);
    setText(summary, `${found.length.toLocaleString('en')} of ${(state.texts.length - 1).toLocaleString('en')} others within ${inBits(radius)}; ${near.filter((one) => inside.has(one)).length} of the ${near.length} nearest by words are among them`);
    bucket.show(Array.from(found.subarray(0, SHOWN), (one) => ({ i: one, about: `${inBits(distances[one])}${wanted.has(one) ? ' ✓ near by words' : ''}` })), found.length > SHOWN ? `The first ${SHOWN}.` : found.length ? '' : 'Nothing lies within this radius.');
    exact.show(near.map((one) => ({ i: one, about: `${inBits(distances[one])}${inside.has(one) ? ' ✓ in the bucket' : ''}` })));
  }

  function showFigures() {
    const { record } = state.result, share = (value) => h('td', {}, value.toFixed(3));
    const row = (name, found) => h('tr', {}, h('th', { scope: 'row' }, name), share(found.overlap_at_10), share(found.overlap_at_50));
    figures.replaceChildren(
      h('caption', {}, 'Share of the 10 nearest by words that a code finds again'),
      h('tr', {}, ...[`${record.bits[0]} bits`, 'in its first 10', 'in its first 50'].map((text) => h('th', { scope: 'col' }, text))),
      ...Object.entries(METHODS).map(([name, text]) => row(text, record.methods[name])), row('chance', record.chance));
    const blank = record.blank ? ` ${record.blank.toLocaleString('en')} have none of these words: what is near them means nothing.` : '';
    setText(said, `${record.documents.toLocaleString('en')} documents, ${record.words.toLocaleString('en')} words that some but not most of them share, weighed by TF-IDF; nearest by words is the largest cosine.${blank} Documents at the same distance are taken in random order.`);
  }

  /** A list of documents to press. Whatever they say is text. */
  function makeList(name) {
    const items = h('ol', { class: 'documents', 'aria-label': name }), note = h('p', { class: 'about' });
    const mark = () => [...items.children].forEach(({ firstChild }) => firstChild.setAttribute('aria-pressed', String(Number(firstChild.dataset.index) === state.document)));
    const showIt = (found, words = '') => {
      items.replaceChildren(...found.map(({ i, about }) => h('li', {}, h('button', { type: 'button', 'data-index': i, onclick: () => press(i, items) }, h('b', {}, String(i + 1)), h('span', {}, state.texts[i]), about ? h('small', {}, about) : null))));
      setText(note, words);
      mark();
    };
    return { element: h('section', {}, h('h3', {}, name), items, note), show: showIt, mark };
  }

  /** What was pressed may be made anew then: the keyboard stays in its list. */
  function press(i, items) {
    const held = items.contains(items.getRootNode().activeElement);
    choose(i);
    if (held && !items.contains(items.getRootNode().activeElement)) (items.querySelector('button') ?? slot.querySelector('input')).focus();
  }

  place.append(
    h('div', { class: 'lab-columns' },
      h('div', {}, h('div', { class: 'picture-tools' }, find, step('Previous documents', -PAGE), step('Next documents', PAGE), paged), list.element),
      h('div', {}, chosen, slot, summary, h('div', { class: 'lab-columns two-lists' }, bucket.element, exact.element))),
    h('div', { class: 'lab-columns' }, h('div', { class: 'wide' }, figures), said));
  const element = h('div', { class: 'lab' },
    h('p', { class: 'about' }, 'A .txt with one document a line, or a .csv with one a row (a column named text, title or the like, else the one with the most text). UTF-8, at most 5 MB, 20 to 20,000 documents; of each the first 10,000 characters count. It is sent to the server of this app and computed there.'),
    h('div', { class: 'picture-tools' }, h('label', {}, 'File ', input), sizes.element), taken, run.element, place);
  return { element, destroy: run.destroy };
}

/** .txt, .csv or nothing. */
const ending = (file) => file?.name.toLowerCase().match(/\.(txt|csv)$/)?.[0] ?? '';
