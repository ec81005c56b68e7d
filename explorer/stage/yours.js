/**
 * Yours: an image that is drawn or brought, or a row of a table that is changed. Both encoders run here; codes and reconstructions follow each stroke at once, the
 * classifier and the nearest images in slices after it, so that no stroke waits for them.
 */

import { loadAtlas, part } from './atlas.js';
import { coloursOf, convert, formOf, OFF, usualSteps } from './bring.js';
import { makeClassifier } from './classifier.js';
import { choice, h, setText, strip } from './dom.js';
import { makeEncoder } from './encoder.js';
import { perfectCopy } from './inspect.js';
import { isTable, makeItems } from './items.js';
import { makeNearestImage } from './nearest.js';
import { makePad } from './pad.js';
import { isDark } from './palette.js';
import { makeQuery } from './query.js';
import { forget, remember, remembered, rememberedRow } from './remembered.js';
import { makeReply } from './reply.js';
import { makeRow } from './row.js';
import { makeCopyLink } from './share.js';
import { makeSlices } from './slices.js';
import { makeSource } from './source.js';
import { dataSetsOf, defaultPair, defaults, dimensionsOf, modelsFor, withFeatures, writeState } from './state.js';
import { makeSteps, SEEN } from './steps.js';
import { percent } from './views.js';

const KINDS = ['ae', 'vae'], NEAREST = 6, REST_MS = 300;
const SHIPPED = 'shipped';

/** The first held-out item. */
const NEW = Object.freeze({ kind: 'held', image: 0, source: null, note: '' });

export class Yours {
  /**
   * @param {HTMLElement} host
   * @param {any} catalogue
   * @param {string|URL} base
   */
  constructor(host, catalogue, base) {
    Object.assign(this, { host, base, whole: catalogue, loads: 0, resting: 0, reader: null, isNew: false, models: null, slices: makeSlices(), query: makeQuery() });
    const models = withFeatures(catalogue).models.filter(({ encoder }) => encoder);
    this.catalogue = { ...catalogue, models: models.filter(({ own }) => !own) };
    this.pairs = pairsOf(models.filter(({ own }) => own));
    this.hasOthers = catalogue.models.filter(({ own }) => own).length > 2 * this.pairs.size;
    this.readTheme();
    if (!this.catalogue.models.length) {
      host.replaceChildren(h('p', { role: 'alert' }, ['There is no model to answer.', ...catalogue.problems].join(' ')));
      return;
    }
    this.readAddress();
    this.build();
    this.load();
  }

  /** The models that are chosen among: those that ship with the project, or the visitor's own pair. */
  get here() {
    const pair = this.pairs.get(this.state.models);
    return pair ? { ...this.catalogue, models: pair } : this.catalogue;
  }

  get model() {
    return modelsFor(this.here, this.state.data, this.state.d)[0];
  }

  /**
   * What stands before the models. Images of all data sets are one subject, so that a drawing stays when other models are
   * chosen; the rows of a table are its own.
   * @returns {{kind: 'held'|'drawn'|'brought'|'row', image: number|null, source: import('./bring.js').Pixels|null, note: string}}
   *   image: the number of the held-out item, null for one's own, which no address holds
   */
  get subject() {
    if (!isTable(this.model)) return this.picture;
    const { data } = this.state;
    if (!this.rows.has(data)) this.rows.set(data, { ...NEW });
    return this.rows.get(data);
  }

  /**
   * models: SHIPPED or the name of an own pair; data, d, and the number of the held-out item. steps, in the address: those
   * that are on for a held-out image. One's own from before is there again, unless the address asks for an item.
   */
  readAddress() {
    const { query } = this, problems = [];
    const take = (key, known) => {
      const value = query.one(key, known), text = query.text(key);
      if (text && text !== String(value)) problems.push(`Unknown ${key} in the address: “${text.slice(0, 40)}”. Right would be: ${known.join(', ')}.`);
      return value;
    };
    this.state = { models: take('models', [SHIPPED, ...this.pairs.keys()]) };
    const { here } = this, data = take('data', dataSetsOf(here)), d = take('d', dimensionsOf(here, data));
    Object.assign(this.state, { data, d });
    const { n } = this.model, text = query.text('image'), image = /^\d+$/.test(text) && Number(text) < n ? Number(text) : 0;
    if (text && text !== String(image)) problems.push(`Unknown image in the address: “${text.slice(0, 40)}”. Right would be: 0 to ${n - 1}.`);
    const steps = query.text('steps').split(',').filter(Boolean), unknown = steps.find((name) => !(name in OFF));
    if (unknown) problems.push(`Unknown steps in the address: “${unknown.slice(0, 40)}”. Right would be some of: ${Object.keys(OFF).join(', ')}.`);
    this.firstSteps = Object.fromEntries(Object.keys(OFF).map((name) => [name, !unknown && steps.includes(name)]));
    const picture = remembered(), row = rememberedRow();
    this.rows = new Map(row ? [[row.note, { ...NEW, kind: 'row', image: null, source: row.source }]] : []);
    this.picture = picture ? { ...picture, image: null } : { ...NEW };
    if (text || this.subject.kind === 'held') Object.assign(this.subject, NEW, { image });
    if (this.picture.kind !== 'held') this.firstSteps = { ...OFF, ...picture.steps };
    this.firstProblem = problems.join(' ');
  }

  // --- the page ---------------------------------------------------------------------------------------------------

  build() {
    const { host } = this;
    this.switches = h('div', { class: 'switches' });
    this.pad = makePad({ name: 'Your drawing', onDraw: () => this.drawn() });
    this.presets = h('div', { class: 'presets' });
    this.source = makeSource({ place: host, onPicture: (picture) => this.brought(picture), onProblem: (text) => this.say(text) });
    this.problem = h('p', { role: 'alert', class: 'problem', hidden: true });
    this.notes = h('p', { class: 'about' });
    this.steps = makeSteps({ onChange: () => { this.writeImage(); this.answer(); this.keep(); } });
    this.steps.choose(this.firstSteps);
    const { dataset, image_shape: shape } = isTable(this.model) ? this.catalogue.models[0] : this.model;
    this.form = formOf(dataset, shape);
    this.row = makeRow({ onChange: (x) => this.changed(x), onPick: (index) => this.choosePreset(index) });
    this.copyLink = makeCopyLink({ settle: () => this.query.now(), about: () => this.aboutLink() });
    this.reading = h('p', { class: 'reading' });
    this.onward = h('a', { href: '', target: '_self' }, 'Explore from here');
    this.spoken = h('p', { class: 'only-spoken', role: 'status' });
    this.replies = KINDS.map((kind) => makeReply({ kind, slices: this.slices, onPick: (index) => this.choosePreset(index) }));
    this.nearestRow = h('div', { class: 'nearest-row' });
    this.nearestAbout = h('p', { class: 'about' });
    this.title = h('h1');
    this.intro = h('p');
    this.nearestTitle = h('h2');
    this.presetsTitle = h('p', { class: 'about' });
    this.seenTitle = h('h2');
    this.others = h('p', { class: 'about', hidden: !this.hasOthers }, 'Of your models, those are offered that are an AE and a VAE kept together.');
    this.forImages = [h('div', {}, h('h2', {}, 'Draw'), this.pad.element), h('div', {}, h('h2', {}, 'Bring a picture'), this.source.element), this.steps.element];
    this.forRows = [h('div', {}, h('h2', {}, 'Change a row'), this.row.element)];
    const [draw, bring] = this.forImages, [change] = this.forRows;
    this.given = h('section', { class: 'yours-image' }, draw, change, this.presetsTitle, this.presets, bring, this.problem);
    this.seen = h('section', { 'aria-label': SEEN }, this.seenTitle, this.steps.element, this.notes, this.reading,
      h('p', { class: 'about' }, this.onward, ': both probes stand on its codes. It is still here when you come back.'));
    this.nearestPart = h('section', {}, this.nearestTitle, this.nearestRow, this.nearestAbout);
    host.classList.add('yours', 'labs');
    host.replaceChildren(
      h('header', { class: 'top' }, this.title, this.intro),
      h('div', { class: 'switches' }, this.switches, this.copyLink.element),
      this.others,
      h('div', { class: 'yours-grid' }, this.given,
        h('div', { class: 'yours-answers' }, this.seen, h('div', { class: 'replies' }, ...this.replies.map(({ element }) => element)), this.nearestPart)),
      this.spoken);
    this.showWords();
    host.addEventListener('keydown', stopHotkeys);
  }

  /** What is said of an image, or of a row. */
  showWords() {
    const { noun } = makeItems(this.model), forRows = isTable(this.model);
    setText(this.title, `Your ${noun} in both models`);
    setText(this.intro, forRows ? 'Change a row of your table. Both models encode and decode it here, in your browser.' : 'Draw, or bring a picture. Both models encode and decode it here, in your browser.');
    setText(this.presetsTitle, forRows ? 'Or take the first row of a class:' : 'Or take a held-out image and change it:');
    setText(this.seenTitle, forRows ? 'Your row' : 'From your image to what the models see');
    setText(this.nearestTitle, `Nearest held-out ${noun}s`);
    this.given.setAttribute('aria-label', `Your ${noun}`);
    this.nearestPart.setAttribute('aria-label', this.nearestTitle.textContent);
    for (const part of this.forImages) part.hidden = forRows;
    for (const part of this.forRows) part.hidden = !forRows;
  }

  showSwitches() {
    const { here, state, pairs } = this;
    const options = (values, text) => values.map((value) => ({ value, text: text(value) }));
    const data = choice('Data', options(dataSetsOf(here), (name) => here.datasets[name].title), state.data, (name) => this.choose({ data: name }));
    const d = choice('Latent dimensions', options(dimensionsOf(here, state.data), String), state.d, (value) => this.choose({ d: value }));
    const focused = this.switches.getRootNode().activeElement, at = [...this.switches.querySelectorAll('button')].indexOf(focused);
    const models = choice('Models', options([SHIPPED, ...pairs.keys()], (name) => (name === SHIPPED ? 'shipped' : name)), state.models, (name) => this.choose({ models: name }));
    this.switches.replaceChildren(...(pairs.size ? [models.element] : []), data.element, d.element);
    if (at >= 0) this.switches.querySelectorAll('button')[at]?.focus();
  }

  say(text) {
    setText(this.problem, text);
    this.problem.hidden = !text;
  }

  // --- models -----------------------------------------------------------------------------------------------------

  /** Other models, data or dimensions. What is drawn, brought or changed stays. */
  choose(patch) {
    const before = this.state.data, { state } = this, among = (all, value) => (all.includes(value) ? value : all[0]);
    Object.assign(state, patch);
    state.data = among(dataSetsOf(this.here), state.data);
    state.d = among(dimensionsOf(this.here, state.data), state.d);
    if (this.subject.kind === 'held' && (patch.models || state.data !== before)) {
      Object.assign(this.subject, NEW);
      if (!isTable(this.model)) this.steps.choose(OFF);
    }
    const { models, data, d } = state;
    this.query.set({ models: models === SHIPPED ? null : models, data, d });
    this.writeImage();
    this.load();
  }

  async load() {
    const turn = ++this.loads, { data, d } = this.state, pair = defaultPair(this.here, data, d);
    this.models = null;
    this.showSwitches();
    this.showWords();
    this.host.removeAttribute('data-ready');
    try {
      const loaded = await Promise.all([this.loadJudge(data), ...[pair.left, pair.right].map((name) => this.loadModel(name))]);
      if (turn !== this.loads) return;
      this.showModels(...loaded);
      if (this.firstProblem) this.say(this.firstProblem);
      this.firstProblem = '';
      this.host.dataset.ready = 'true';
    } catch ({ message }) {
      if (turn === this.loads) this.say(`The models of ${this.catalogue.datasets[data].title} cannot be shown. ${message}`);
    }
  }

  async loadModel(name) {
    const model = this.here.models.find((one) => one.name === name);
    const [atlas, weights] = await Promise.all([loadAtlas(model, this.base), part(model.parts.weights.url, this.base)]);
    await atlas.imagesHere;
    return { atlas, encode: makeEncoder(model, weights) };
  }

  /** Null where the data set has no classifier. */
  async loadJudge(data) {
    const judge = this.catalogue.datasets[data].classifier;
    return judge && makeClassifier(judge.layers, await part(judge.url, this.base), this.model.image_shape).probabilities;
  }

  showModels(judge, ...models) {
    const { classes } = this.catalogue.datasets[this.state.data], [{ atlas }] = models;
    this.slices.stopAll();
    this.reader = null;
    this.models = models;
    Object.assign(this, { judge, classes, atlas, search: makeNearestImage(atlas.images, atlas.pixels), searchable: false });
    this.replies.forEach((reply, i) => { reply.setModel(models[i].atlas, models[i].encode, classes); reply.repaint(this.dark); });
    const preparing = this.search.prepare();
    this.slices.run('nearest', () => !preparing.next().done, () => { this.searchable = !Number.isNaN(this.search.usual()); this.soon(); });
    this.showPresets();
    this.nearest = Array.from({ length: Math.min(NEAREST, this.search.count) }, (_, i) => {
      const picture = atlas.items.small(`Nearest ${i + 1}`, { className: 'sharp' }), text = h('figcaption', { dir: 'auto' });
      return { picture, text, element: h('figure', { class: 'tile' }, picture.element, text) };
    });
    this.nearestRow.replaceChildren(...this.nearest.map(({ element }) => element));
    isTable(atlas.model) ? this.showRow() : this.showPicture();
  }

  showRow() {
    const { subject, atlas } = this;
    this.row.setModel(atlas, this.classes);
    if (subject.kind === 'held' || subject.source.data.length !== atlas.pixels) return this.take(subject.image < atlas.n ? (subject.image ?? 0) : 0);
    this.row.show(subject.source.data, null);
    this.answer();
  }

  showPicture() {
    const { subject, atlas: { shape, n }, form: before } = this;
    this.form = formOf(this.state.data, shape);
    this.steps.setForm(this.form);
    this.pad.fit(shape, subject.kind === 'drawn' ? subject.source : this.pad.pixels);
    if (subject.kind === 'held') return this.take(subject.image < n ? subject.image : 0, { ...this.steps.wanted });
    if (before.isInk !== this.form.isInk) this.steps.choose(this.usualSteps());
    this.answer();
  }

  showPresets() {
    const { atlas, classes } = this, firsts = classes.map((_, c) => atlas.labels.indexOf(c)).filter((index) => index >= 0);
    const canvases = firsts.map((index) => {
      const picture = atlas.items.small(classes[atlas.labels[index]], { className: 'sharp' });
      picture.paint(this.bytesOf(index), 1);
      return picture.element;
    });
    this.presets.replaceChildren(strip('ten', canvases, (i) => this.choosePreset(firsts[i]), `take this ${atlas.items.noun}`));
  }

  bytesOf(index) {
    return this.atlas.images.subarray(index * this.atlas.pixels, (index + 1) * this.atlas.pixels);
  }

  // --- the image --------------------------------------------------------------------------------------------------

  /** What is one's own is kept; a held-out item is in the address. */
  keep() {
    const { kind, source, note } = this.subject;
    if (kind !== 'held') remember({ kind, source, steps: this.steps.wanted, note: kind === 'row' ? this.state.data : note });
  }

  /** The person wants this item in place of the own one. */
  choosePreset(index) {
    forget(isTable(this.atlas.model) ? 'row' : 'drawn');
    this.take(index);
  }

  /** A held-out item, an image as its data set has it unless steps are asked for. */
  take(index, steps = OFF) {
    const x = Float64Array.from(this.bytesOf(index), (byte) => byte / 255);
    if (isTable(this.atlas.model)) this.row.show(x, index);
    else {
      this.pad.set(x);
      this.steps.choose(steps);
    }
    this.use({ ...NEW, image: index });
  }

  drawn() {
    if (this.subject.kind !== 'drawn') this.steps.choose({ ...OFF, centre: this.form.isInk });
    this.use({ kind: 'drawn', image: null, source: this.pad.pixels, note: '' });
    this.keep();
  }

  brought(picture) {
    if (isTable(this.model)) return this.say('These models learned the rows of a table: a picture cannot be given to them. Change a row instead.');
    Object.assign(this.subject, { kind: 'brought', image: null, source: coloursOf(picture), note: picture.notes.join(' ') });
    this.steps.choose(this.usualSteps());
    this.use(this.subject);
    this.keep();
  }

  changed(x) {
    this.use({ kind: 'row', image: null, source: { data: x.slice(), width: x.length, height: 1 }, note: '' });
    this.keep();
  }

  /** The steps that one's own image goes through unless the person says otherwise. */
  usualSteps() {
    const { kind, source } = this.subject;
    return kind === 'drawn' ? { ...OFF, centre: this.form.isInk } : usualSteps(source, this.form);
  }

  use(subject) {
    Object.assign(this.subject, subject);
    this.writeImage();
    this.say('');
    this.answer();
  }

  /** What stands before the models, and what was done to it. */
  showNotes() {
    const { kind, image, source, note } = this.subject, { noun } = this.atlas.items;
    const [, height, width] = this.atlas.shape, isScaled = kind === 'drawn' && (source.width !== width || source.height !== height);
    setText(this.notes, {
      held: () => `Test ${noun} ${image}, ${this.classes[this.atlas.labels[image]]}, as the data set has it.`,
      row: () => 'Your row, changed by hand.',
      drawn: () => `${this.form.isInk ? 'Your drawing, centred as the data set is.' : 'Your drawing.'}${isScaled ? ` It has ${source.width} by ${source.height} pixels and was scaled to ${width} by ${height}.` : ''}`,
      brought: () => ['Your picture.', note].filter(Boolean).join(' '),
    }[kind]());
  }

  aboutLink() {
    if (this.subject.kind !== 'held') return `Your own ${makeItems(this.model).noun} is not in it: it stays in this browser.`;
    return this.state.models === SHIPPED ? '' : 'These models are your own: the link works for you alone.';
  }

  writeImage() {
    const { kind, image } = this.subject, on = Object.keys(OFF).filter((name) => kind === 'held' && !isTable(this.model) && this.steps.wanted[name]);
    this.query.set({ image, steps: on.join(',') });
  }

  // --- the answer -------------------------------------------------------------------------------------------------

  /** Codes and reconstructions, at once. */
  answer() {
    if (!this.models) return;
    this.x = isTable(this.atlas.model) ? this.rowShown() : this.pictureShown();
    this.showNotes();
    this.made = this.replies.map((reply) => reply.show(this.x));
    this.soon();
  }

  rowShown() {
    const { source, image } = this.subject;
    return source?.data ?? Float64Array.from(this.bytesOf(image), (byte) => byte / 255);
  }

  pictureShown() {
    const { subject, form } = this, isBrought = subject.kind === 'brought';
    const pictures = convert(isBrought ? subject.source : this.pad.pixels, this.steps.wanted, form);
    this.steps.show(pictures);
    if (isBrought) this.pad.set(pictures.centre.data); // to be drawn on
    return pictures.centre.data;
  }

  /** What is being read is read to its end, so that it is seen while one draws; then what came since. */
  soon() {
    this.isNew = this.x !== undefined;
    if (this.reader) return;
    this.reader = this.readings();
    const { reader } = this;
    this.slices.run('readings', () => !reader.next().done);
  }

  /** What the classifier reads, and the nearest images, in small steps. */
  *readings() {
    while (this.isNew) {
      this.isNew = false;
      const { x, made } = this, found = [];
      for (const pixels of [x, ...made.map(({ x_hat }) => x_hat)]) {
        found.push(this.read(pixels));
        yield;
      }
      const nearest = this.searchable ? this.search.nearest(x, NEAREST) : [];
      yield;
      this.showReadings(x, made, found, nearest);
    }
    this.reader = null;
  }

  showReadings(x, made, [own, ...copies], nearest) {
    const perfect = `a perfect copy would cost ${perfectCopy(x.map((value) => Math.round(255 * value))).toFixed(1)} nats`;
    const isEmpty = !isTable(this.atlas.model) && x.every((value) => value === 0);
    const sentence = isEmpty ? 'There is no ink: this is what the models make of black' : own ? `The classifier reads ${own.text}` : 'No classifier reads this data set';
    setText(this.reading, `${sentence}; ${perfect}.`);
    const label = own?.class ?? this.atlas.labels[nearest[0]?.index ?? 0];
    this.replies.forEach((reply, i) => reply.showReading(copies[i] ? `read as ${copies[i].text}` : '', label));
    if (this.searchable) this.showNearest(nearest);
    else setText(this.nearestAbout, 'Getting ready …');
    this.onward.href = this.exploreAddress(made);
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      setText(this.spoken, `${this.reading.textContent} ${KINDS.map((kind, i) => `${kind.toUpperCase()} ${made[i].error.toFixed(1)} nats`).join(', ')}.`);
      for (const reply of this.replies) reply.rest();
    }, REST_MS);
  }

  /** Explore with each model's probe on its code. */
  exploreAddress([left, right]) {
    const { whole, base, state: { data, d }, subject: { image } } = this;
    const view = { ...defaults(whole), data, d, ...defaultPair(this.here, data, d), image: image ?? 0, z: left.mu, zr: right.mu };
    return new URL(`./?${writeState('', view, whole)}`, base).href;
  }

  read(x) {
    if (!this.judge) return null;
    const all = this.judge(x), sure = Math.max(...all), found = all.indexOf(sure);
    return { class: found, text: `${this.classes[found]} (${percent(sure)} sure)` };
  }

  showNearest(found) {
    found.forEach(({ index, distance }, i) => {
      const { picture, text } = this.nearest[i];
      picture.paint(this.bytesOf(index), 1);
      setText(text, `${this.classes[this.atlas.labels[index]]}, ${distance.toFixed(2)}`);
    });
    const { count } = this.search, { noun, one } = this.atlas.items, usual = this.search.usual();
    const about = `Distance by ${one}s to ${count.toLocaleString('en')} held-out ${noun}${count === 1 ? '' : 's'}.`;
    setText(this.nearestAbout, count === 1 ? about : `${about} Between a held-out ${noun} and its nearest, ${usual.toFixed(2)} is usual.`);
  }

  // --- the page around it -----------------------------------------------------------------------------------------

  readTheme() {
    this.dark = isDark(getComputedStyle(this.host).backgroundColor);
    this.host.dataset.theme = this.dark ? 'dark' : 'light';
  }

  repaint() {
    this.readTheme();
    if (this.models) for (const reply of this.replies) reply.repaint(this.dark);
  }

  destroy() {
    this.loads++;
    clearTimeout(this.resting);
    this.copyLink?.stop();
    this.slices.stopAll();
    this.source?.destroy();
    this.replies?.forEach((reply) => reply.destroy());
    this.host.removeEventListener('keydown', stopHotkeys);
    this.host.classList.remove('yours', 'labs');
  }
}

/** The own models that were kept together as an AE and a VAE, by the name they were kept under. */
function pairsOf(own) {
  const pairs = new Map();
  for (const ae of own.filter(({ model }) => model === 'ae')) {
    const name = ae.name.replace(/-ae$/, ''), vae = own.find((other) => other.name === `${name}-vae`);
    const isPair = vae?.model === 'vae' && vae.dataset === ae.dataset && vae.latent_dim === ae.latent_dim;
    if (isPair) pairs.set(name, [ae, vae]);
  }
  return pairs;
}

/** Streamlit's own keys (r, c) are not meant while one works here. */
function stopHotkeys(event) {
  if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
}
