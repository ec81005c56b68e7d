/**
 * Yours: an image that is drawn or brought. Both encoders run here; codes and reconstructions follow each stroke at once, the
 * classifier and the nearest images in slices after it, so that no stroke waits for them.
 */

import { loadAtlas, part } from './atlas.js';
import { convert, formOf, greyOf, isLight, SIDE } from './bring.js';
import { makeClassifier } from './classifier.js';
import { choice, h, paint, pictureCanvas, setText, strip } from './dom.js';
import { makeEncoder } from './encoder.js';
import { perfectCopy } from './inspect.js';
import { makeNearestImage } from './nearest.js';
import { makePad } from './pad.js';
import { isDark } from './palette.js';
import { makeQuery } from './query.js';
import { forget, remember, remembered } from './remembered.js';
import { makeReply } from './reply.js';
import { makeCopyLink } from './share.js';
import { makeSlices } from './slices.js';
import { makeSource } from './source.js';
import { dataSetsOf, defaultPair, defaults, dimensionsOf, modelsFor, writeState } from './state.js';
import { makeSteps, SEEN } from './steps.js';
import { percent } from './views.js';

const SHAPE = [1, SIDE, SIDE], KINDS = ['ae', 'vae'], NEAREST = 6, REST_MS = 300;
const SHIPPED = 'shipped';
const OFF = { invert: false, contrast: false, crop: false, scale: false, centre: false };

export class Yours {
  /**
   * @param {HTMLElement} host
   * @param {any} catalogue
   * @param {string|URL} base
   */
  constructor(host, catalogue, base) {
    Object.assign(this, { host, base, whole: catalogue, loads: 0, resting: 0, reader: null, isNew: false, models: null, slices: makeSlices(), query: makeQuery() });
    const fits = ({ encoder, image_shape: shape }) => encoder && String(shape) === String(SHAPE);
    this.catalogue = { ...catalogue, models: catalogue.models.filter((model) => !model.own && fits(model)) };
    this.pairs = pairsOf(catalogue.models.filter((model) => model.own && fits(model)));
    this.hasOthers = catalogue.models.filter(({ own }) => own).length > 2 * this.pairs.size;
    this.readTheme();
    if (!this.catalogue.models.length) {
      host.replaceChildren(h('p', { role: 'alert' }, ['There is no model to answer.', ...catalogue.problems].join(' ')));
      return;
    }
    this.readAddress();
    this.build();
    this.restore();
    this.load();
  }

  /** The models that are chosen among: those that ship with the project, or the visitor's own pair. */
  get here() {
    const pair = this.pairs.get(this.state.models);
    return pair ? { ...this.catalogue, models: pair } : this.catalogue;
  }

  /**
   * models: SHIPPED or the name of an own pair; data, d; image: the number of the held-out image that is shown, null for one's
   * own, which no address holds. source: its grey pixels. steps, in the address: those that are on for a held-out image.
   * One's own from before is there again, unless the address asks for an image.
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
    const n = modelsFor(here, data, d)[0].n, text = query.text('image'), image = /^\d+$/.test(text) && Number(text) < n ? Number(text) : 0;
    if (text && text !== String(image)) problems.push(`Unknown image in the address: “${text.slice(0, 40)}”. Right would be: 0 to ${n - 1}.`);
    const steps = query.text('steps').split(',').filter(Boolean), unknown = steps.find((name) => !(name in OFF));
    if (unknown) problems.push(`Unknown steps in the address: “${unknown.slice(0, 40)}”. Right would be some of: ${Object.keys(OFF).join(', ')}.`);
    this.firstSteps = Object.fromEntries(Object.keys(OFF).map((name) => [name, !unknown && steps.includes(name)]));
    this.kept = text ? null : remembered();
    Object.assign(this.state, { data, d, kind: this.kept?.kind ?? 'held', image: this.kept ? null : image, source: this.kept?.source ?? null });
    this.firstProblem = problems.join(' ');
  }

  // --- the page ---------------------------------------------------------------------------------------------------

  build() {
    const { host } = this;
    this.switches = h('div', { class: 'switches' });
    this.pad = makePad({ name: 'Your drawing', onDraw: (x) => this.drawn(x) });
    this.presets = h('div', { class: 'presets' });
    this.source = makeSource({ place: host, onPicture: (picture) => this.brought(picture), onProblem: (text) => this.say(text) });
    this.problem = h('p', { role: 'alert', class: 'problem', hidden: true });
    this.notes = h('p', { class: 'about' });
    this.steps = makeSteps({ onChange: () => { this.writeImage(); this.answer(); this.keep(); } });
    this.steps.choose(this.firstSteps);
    this.copyLink = makeCopyLink({ settle: () => this.query.now(), about: () => this.aboutLink() });
    this.reading = h('p', { class: 'reading' });
    this.onward = h('a', { href: '', target: '_self' }, 'Explore from here');
    this.spoken = h('p', { class: 'only-spoken', role: 'status' });
    this.replies = KINDS.map((kind) => makeReply({ kind, slices: this.slices, onPick: (index) => this.choosePreset(index) }));
    this.nearest = Array.from({ length: NEAREST }, (_, i) => {
      const canvas = pictureCanvas(`Nearest ${i + 1}`, { width: SIDE, height: SIDE, className: 'sharp' }), text = h('figcaption');
      return { canvas, text, element: h('figure', { class: 'tile' }, canvas, text) };
    });
    this.nearestAbout = h('p', { class: 'about' });
    host.classList.add('yours', 'labs');
    host.replaceChildren(
      h('header', { class: 'top' }, h('h1', {}, 'Your image in both models'), h('p', {}, 'Draw, or bring a picture. Both models encode and decode it here, in your browser.')),
      h('div', { class: 'switches' }, this.switches, this.copyLink.element),
      h('p', { class: 'about', hidden: !this.hasOthers }, 'Of your models, those are offered that are an AE and a VAE kept together and take images of 28 by 28 pixels.'),
      h('div', { class: 'yours-grid' },
        h('section', { class: 'yours-image', 'aria-label': 'Your image' },
          h('h2', {}, 'Draw'), this.pad.element, h('p', { class: 'about' }, 'Or take a held-out image and change it:'), this.presets,
          h('h2', {}, 'Bring a picture'), this.source.element, this.problem),
        h('div', { class: 'yours-answers' },
          h('section', { 'aria-label': SEEN },
            h('h2', {}, 'From your image to what the models see'), this.steps.element, this.notes, this.reading,
            h('p', { class: 'about' }, this.onward, ': both probes stand on the codes of this image, which is still here when you come back.')),
          h('div', { class: 'replies' }, ...this.replies.map(({ element }) => element)),
          h('section', { 'aria-label': 'Nearest held-out images' }, h('h2', {}, 'Nearest held-out images'),
            h('div', { class: 'nearest-row' }, ...this.nearest.map(({ element }) => element)), this.nearestAbout))),
      this.spoken);
    host.addEventListener('keydown', stopHotkeys);
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

  /** Other models, data or dimensions. What is drawn or brought stays. */
  choose(patch) {
    const before = this.state.data, { state } = this, among = (all, value) => (all.includes(value) ? value : all[0]);
    Object.assign(state, patch);
    state.data = among(dataSetsOf(this.here), state.data);
    state.d = among(dimensionsOf(this.here, state.data), state.d);
    if (state.kind === 'held' && (patch.models || state.data !== before)) {
      Object.assign(state, { image: 0, source: null });
      this.steps.choose(OFF);
    }
    const { models, data, d } = state;
    this.query.set({ models: models === SHIPPED ? null : models, data, d });
    this.writeImage();
    this.load();
  }

  async load() {
    const turn = ++this.loads, { data, d } = this.state, pair = defaultPair(this.here, data, d);
    this.showSwitches();
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
    return judge && makeClassifier(judge.layers, await part(judge.url, this.base), SHAPE).probabilities;
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
    if (this.state.kind === 'held') this.take(this.state.image, { ...this.steps.wanted });
    else this.answer();
  }

  showPresets() {
    const { atlas, classes } = this, firsts = classes.map((_, c) => atlas.labels.indexOf(c)).filter((index) => index >= 0);
    const canvases = firsts.map((index) => {
      const canvas = pictureCanvas(classes[atlas.labels[index]], { width: SIDE, height: SIDE, className: 'sharp' });
      paint(canvas, this.bytesOf(index), SHAPE, 1);
      return canvas;
    });
    this.presets.replaceChildren(strip('ten', canvases, (i) => this.choosePreset(firsts[i]), 'take this image'));
  }

  bytesOf(index) {
    return this.atlas.images.subarray(index * this.atlas.pixels, (index + 1) * this.atlas.pixels);
  }

  // --- the image --------------------------------------------------------------------------------------------------

  /** What was drawn or brought before in this tab. */
  restore() {
    if (!this.kept) return;
    const { kind, source, steps, note } = this.kept;
    if (kind === 'drawn') {
      this.pad.set(source.data);
      this.state.source = { data: this.pad.x, width: SIDE, height: SIDE };
    }
    this.steps.choose({ ...OFF, ...steps });
    setText(this.notes, note);
  }

  /** What is one's own is kept; a held-out image is in the address. */
  keep() {
    const { kind, source } = this.state;
    if (kind !== 'held') remember({ kind, source, steps: this.steps.wanted, note: this.notes.textContent });
  }

  /** The person wants this image in place of the own one. */
  choosePreset(index) {
    forget();
    this.take(index);
  }

  /** A held-out image, as its data set has it unless steps are asked for. */
  take(index, steps = OFF) {
    this.pad.set(Float64Array.from(this.bytesOf(index), (byte) => byte / 255));
    this.use('held', { data: this.pad.x, width: SIDE, height: SIDE }, steps, index);
    setText(this.notes, `Test image ${index}, ${this.classes[this.atlas.labels[index]]}, as the data set has it.`);
  }

  drawn(x) {
    if (this.state.kind === 'drawn') this.answer();
    else {
      this.use('drawn', { data: x, width: SIDE, height: SIDE }, { ...OFF, centre: true }, null);
      setText(this.notes, 'Your drawing, centred as the data set is.');
    }
    this.keep();
  }

  brought(picture) {
    const grey = greyOf(picture);
    this.use('brought', grey, { invert: isLight(grey), contrast: true, crop: true, scale: true, centre: true }, null);
    setText(this.notes, ['Your picture.', ...picture.notes].join(' '));
    this.keep();
  }

  use(kind, source, steps, image) {
    Object.assign(this.state, { kind, source, image });
    this.steps.choose(steps);
    this.writeImage();
    this.say('');
    this.answer();
  }

  aboutLink() {
    if (this.state.kind !== 'held') return 'Your own image is not in it: it stays in this browser.';
    return this.state.models === SHIPPED ? '' : 'These models are your own: the link works for you alone.';
  }

  writeImage() {
    const { kind, image } = this.state, on = Object.keys(OFF).filter((name) => kind === 'held' && this.steps.wanted[name]);
    this.query.set({ image, steps: on.join(',') });
  }

  // --- the answer -------------------------------------------------------------------------------------------------

  /** Codes and reconstructions, at once. */
  answer() {
    if (!this.models) return;
    const pictures = convert(this.state.source, this.steps.wanted, formOf(this.state.data));
    this.steps.show(pictures);
    this.x = pictures.centre.data;
    if (this.state.kind === 'brought') this.pad.set(this.x); // to be drawn on
    this.made = this.replies.map((reply) => reply.show(this.x));
    this.soon();
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
    const isEmpty = x.every((value) => value === 0);
    const sentence = isEmpty ? 'There is no ink: this is what the models make of black' : own ? `The classifier reads ${own.text}` : 'No classifier reads this data set';
    setText(this.reading, `${sentence}; ${perfect}.`);
    const label = own?.class ?? this.atlas.labels[nearest[0]?.index ?? 0];
    this.replies.forEach((reply, i) => reply.showReading(copies[i] ? `read as ${copies[i].text}` : '', label));
    this.showNearest(nearest);
    this.onward.href = this.exploreAddress(made);
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      setText(this.spoken, `${this.reading.textContent} ${KINDS.map((kind, i) => `${kind.toUpperCase()} ${made[i].error.toFixed(1)} nats`).join(', ')}.`);
      for (const reply of this.replies) reply.rest();
    }, REST_MS);
  }

  /** Explore with each model's probe on its code. */
  exploreAddress([left, right]) {
    const { whole, base, state: { data, d, image } } = this;
    const view = { ...defaults(whole), data, d, ...defaultPair(this.here, data, d), image: image ?? 0, z: left.mu, zr: right.mu };
    return new URL(`./?${writeState('', view, whole)}`, base).href;
  }

  read(x) {
    if (!this.judge) return null;
    const all = this.judge(x), sure = Math.max(...all), found = all.indexOf(sure);
    return { class: found, text: `${this.classes[found]} (${percent(sure)} sure)` };
  }

  showNearest(found) {
    if (!found.length) return setText(this.nearestAbout, 'Getting ready …');
    found.forEach(({ index, distance }, i) => {
      const { canvas, text } = this.nearest[i];
      paint(canvas, this.bytesOf(index), SHAPE, 1);
      setText(text, `${this.classes[this.atlas.labels[index]]}, ${distance.toFixed(2)}`);
    });
    setText(this.nearestAbout, `Distance by pixels to ${this.search.count.toLocaleString('en')} held-out images. Between a held-out image and its nearest, ${this.search.usual().toFixed(2)} is usual.`);
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
