/**
 * A training as it happens: two maps that move, their decoders of that moment, the losses, the film, and what to keep.
 * News comes as server-sent events; pictures are fetched when there is time, always the newest.
 */

import { fetchPart, makeAtlas } from './atlas.js';
import { makeChart } from './chart.js';
import { makeDecoder } from './decoder.js';
import { choice, h, setText } from './dom.js';
import { makeFilm } from './film.js';
import { codeAtQuantile, codeOf, link, meanCode, valueAt } from './latent.js';
import { makeNotices } from './page.js';
import { classColours, isDark } from './palette.js';
import { Panel } from './panel.js';
import { makeSamples } from './samples.js';
import { makeSlices } from './slices.js';
import { listenTo } from './listen.js';
import { makeLegend } from './switches.js';

const SIDES = { left: 'ae', right: 'vae' };
const KINDS = Object.values(SIDES);
const FILM_KEPT = 24;
const SAMPLES_EVERY_MS = 1000;
const ENDED = ['done', 'stopped', 'failed'];
const VIEWS = [{ value: 'raw', text: 'raw z' }, { value: 'pca', text: 'PCA' }];

export class Live {
  /**
   * @param {HTMLElement} host
   * @param {{id: string}} training
   * @param {string|URL} base
   */
  constructor(host, training, base) {
    Object.assign(this, { host, training, base, state: 'waiting', view: 'raw', axes: [0, 1], seed: 0, chosenClass: null, image: null, pinned: false });
    this.slices = makeSlices();
    this.notices = makeNotices();
    this.sides = Object.fromEntries(KINDS.map((kind) => [kind, { model: null, moments: [], epochs: [], curve: [], atlas: null, busy: false, shown: -1, ended: false }]));
    this.cache = new Map();
    this.frame = null; // what the film shows; null: the newest
    this.readTheme();
    this.build();
    this.listen();
  }

  // --- parts ------------------------------------------------------------------------------------------------------

  build() {
    this.status = h('p', { class: 'status', role: 'status' }, 'Waiting for the training …');
    this.bars = Object.fromEntries(KINDS.map((kind) => [kind, this.makeBar(kind)]));
    const button = (text, title, action) => h('button', { type: 'button', title, onclick: action }, text);
    this.stopKeep = button('Stop and keep', 'End now; what was learned so far is kept', () => this.post('stop', { keep: true }));
    this.stop = button('Stop', 'End now and drop what was learned', () => this.post('stop', { keep: false }));
    this.panels = Object.fromEntries(Object.keys(SIDES).map((side) => [side, new Panel({ side, on: this.panelEvents(side) })]));
    this.legend = makeLegend({ onClass: (chosen) => { this.chosenClass = chosen; this.showClasses(); } });
    this.views = choice('View', VIEWS, 'raw', (view) => { this.view = view; this.views.show(view); this.showViews(); });
    this.charts = {
      recon: makeChart({ title: 'Reconstruction', unit: 'nats an image', across: 'epoch' }),
      kl: makeChart({ title: 'KL of the VAE', unit: 'nats an image', across: 'epoch' }),
    };
    this.dims = h('div', { class: 'dims-bars' });
    this.film = makeFilm({ onFrame: (index) => this.showFrame(index), gif: new URL(`jobs/${this.training.id}/film.gif`, this.base).href });
    this.samples = makeSamples({
      slices: this.slices,
      onSeed: (seed) => { this.seed = seed; this.showSamples(); },
      onProblem: (text) => this.notices.say(text, { brief: true }),
      onMoreDimensions: () => {},
      onPick: (side, z) => this.setCode(side, z, { pin: true }),
    });
    this.keepPlace = h('section', { class: 'keep', 'aria-label': 'Keep what was trained', hidden: true });
    this.main = h('div', { hidden: true },
      h('div', { class: 'switches' }, this.views.element, this.legend.element),
      h('div', { class: 'panels two' }, this.panels.left.element, this.panels.right.element),
      this.film.element,
      h('div', { class: 'blocks' },
        this.charts.recon.element, this.charts.kl.element,
        h('figure', { class: 'chart' }, h('figcaption', {}, h('b', {}, 'KL of each dimension'), ' nats, of the VAE'), this.dims)),
      this.samples.element);
    this.host.replaceChildren(
      h('div', { class: 'progress' }, this.status, h('div', { class: 'buttons' }, this.stopKeep, this.stop), ...Object.values(this.bars).map((bar) => bar.element)),
      this.keepPlace, this.notices.element, this.main);
  }

  makeBar(kind) {
    const bar = h('progress', { max: 1, value: 0, 'aria-label': `${kind.toUpperCase()} training progress` });
    const text = h('span', { class: 'about' });
    return { element: h('p', { class: `bar ${kind}` }, h('b', {}, kind.toUpperCase()), bar, text), bar, text };
  }

  panelEvents(side) {
    return {
      code: (z, options) => { if (options.pin || !this.pinned) this.setCode(side, z, options); },
      pick: (image) => this.pick(image),
      reset: () => this.release(),
      mean: () => this.setCode(side, meanCode(this.panels[side].atlas), { pin: true }),
      random: () => { const { atlas } = this.panels[side]; this.setCode(side, Float64Array.from({ length: atlas.d }, (_, dim) => valueAt(atlas, dim, Math.random())), { pin: true }); },
      axes: (axes) => { this.axes = axes; this.showViews(); },
      problem: (text) => this.notices.say(text, { brief: true }),
      model: () => {}, mark: () => {}, end: () => {}, beforePress: () => {}, undoPress: () => this.release(), seen: () => {},
    };
  }

  // --- news -------------------------------------------------------------------------------------------------------

  listen() {
    this.source = listenTo(new URL(`jobs/${this.training.id}/events`, this.base), {
      hear: (news) => this.hear(news),
      waiting: (known) => setText(this.status, known
        ? 'The connection is lost; the training goes on, and so will this page when it is back.'
        : 'The server that trains does not answer. It may be starting again: this page asks for five minutes.'),
      none: () => this.lost(),
    });
    this.host.addEventListener('keydown', this.onEscape = (event) => event.key === 'Escape' && this.release());
  }

  lost() {
    if (ENDED.includes(this.state)) return;
    setText(this.status, 'There is no such training of yours. It may have ended long ago: start another one.');
    this.host.dataset.ready = 'true';
    this.host.hidden = !this.data; // nothing was ever heard of it: the page says so itself
    for (const button of [this.stop, this.stopKeep]) button.hidden = true;
  }

  hear(news) {
    const side = this.sides[news.side];
    if (news.kind === 'state') this.heardState(news);
    else if (news.kind === 'model') this.heardModel(side, news);
    else if (news.kind === 'moment') this.heardMoment(side, news);
    else if (news.kind === 'epoch') side.epochs.push(news);
    else if (news.kind === 'ending') side.ended = true;
    else if (news.kind === 'warning' || news.kind === 'failed') this.notices.say(news.text);
    if (news.kind === 'trained') this.sides[news.side].trained = news;
    this.showSoon();
  }

  heardState({ state, place }) {
    this.state = state;
    this.place = place;
    if (state === 'drawing' || state === 'done') this.showKeep();
  }

  heardModel(side, model) {
    side.model = { ...model, features: model.data.features };
    this.data = model.data;
    side.epochs = model.done.map((stats) => ({ ...stats }));
    // A training that was cut off goes on from its last whole epoch: what came after it comes again.
    const before = ({ epoch }) => epoch < model.done.length;
    side.moments = side.moments.filter(before);
    side.curve = side.curve.filter(before);
    side.shown = -1;
    side.since = side.moments.length;
    const folder = `jobs/${this.training.id}/moments`;
    this.images ??= fetchPart(new URL(`${folder}/${model.model}/images.safetensors`, this.base));
    this.images.catch(() => { this.images = undefined; });
  }

  heardMoment(side, moment) {
    side.moments.push(moment);
    if (moment.images) side.curve.push(moment);
    this.pump(moment.side);
  }

  /** Fetch the newest moment of a side, one at a time: what comes meanwhile is overtaken. */
  async pump(kind) {
    const side = this.sides[kind];
    if (side.busy || this.frame !== null) return;
    side.busy = true;
    await new Promise(requestAnimationFrame); // of many at once, only the last is wanted
    const index = side.moments.length - 1;
    if (index !== side.shown) await this.showMoment(kind, index);
    side.busy = false;
    if (side.moments.length - 1 !== index && !this.gone) this.pump(kind);
  }

  async showMoment(kind, index) {
    const side = this.sides[kind];
    try {
      const atlas = await this.atlasAt(kind, index);
      if (this.gone) return;
      side.shown = index;
      this.put(kind, atlas);
      this.notices.settle();
      this.host.dataset[`shown${kind}`] = String(index);
      this.host.dataset[`delay${kind}`] = String(Math.round(Date.now() - side.moments[index].sent * 1000));
    } catch (error) {
      if (index === side.moments.length - 1 && !ENDED.includes(this.state)) this.notices.say(error.message, { brief: true });
    }
  }

  async atlasAt(kind, index) {
    const { file } = this.sides[kind].moments[index], { model } = this.sides[kind];
    const address = `jobs/${this.training.id}/moments/${kind}/${file}`;
    if (!this.cache.has(address)) {
      const [tensors, shown] = await Promise.all([fetchPart(new URL(address, this.base)), this.images]);
      const atlas = makeAtlas(model, tensors, makeDecoder(model.layers, tensors));
      Object.assign(atlas, { images: shown.images.data, labels: shown.labels.data });
      this.cache.set(address, atlas);
      if (this.cache.size > FILM_KEPT) this.cache.delete(this.cache.keys().next().value);
    }
    return this.cache.get(address);
  }

  /** A moment of the film on both sides, or the newest again. */
  async showFrame(index) {
    this.frame = index;
    if (index === null) KINDS.forEach((kind) => { this.sides[kind].shown = -1; this.pump(kind); });
    else await Promise.all(KINDS.map((kind) => this.showMoment(kind, Math.min(index, this.sides[kind].moments.length - 1))));
  }

  // --- the maps ---------------------------------------------------------------------------------------------------

  sideOf(kind) {
    return Object.keys(SIDES).find((side) => SIDES[side] === kind);
  }

  put(kind, atlas) {
    const panel = this.panels[this.sideOf(kind)];
    if (panel.atlas) panel.follow(atlas);
    else {
      panel.setChoices([atlas.model], atlas.model.name);
      panel.chooser.hidden = true;
      panel.setModel(withFigures(atlas, this.sides[kind]), kind.toUpperCase());
      panel.follow(atlas);
      panel.follows = true;
    }
    panel.setView(this.view, this.axes, false);
    const { left, right } = this.panels;
    if (!left.atlas || !right.atlas) return;
    if (this.main.hidden) this.appear();
    this.showClasses([panel]);
    this.restoreProbe(panel);
    this.showSamplesSoon();
  }

  appear() {
    this.main.hidden = false;
    this.host.dataset.ready = 'true';
    for (const panel of Object.values(this.panels)) this.restoreProbe(panel);
    this.showClasses();
  }

  showViews() {
    for (const panel of Object.values(this.panels)) {
      if (!panel.atlas) return;
      panel.follows = false;
      panel.setView(this.view, this.axes, false);
      panel.follows = true;
      panel.setCode(panel.z);
    }
    this.showClasses();
  }

  showClasses(panels = Object.values(this.panels)) {
    const colours = classColours(this.dark);
    if (!this.data) return;
    const { classes } = this.data;
    this.legend.show(classes, colours, this.chosenClass);
    for (const { map, atlas } of panels) map?.set({ selectedClass: this.chosenClass, colours, labels: atlas.labels, names: classes });
  }

  /** After the space has moved: the probe stays on its image, or at its place; until it is held, at the median. */
  restoreProbe(panel) {
    const { atlas } = panel;
    const z = this.image !== null ? codeOf(atlas, this.image) : this.pinned || this.hovering ? panel.z : codeAtQuantile(atlas, 0.5);
    panel.base = z ?? codeAtQuantile(atlas, 0.5);
    panel.map.setMarks({ accent: getComputedStyle(panel.title).color, pinned: this.pinned });
    panel.setCode(panel.base);
  }

  setCode(side, z, { pin = false } = {}) {
    const panel = this.panels[side], other = this.panels[side === 'left' ? 'right' : 'left'];
    if (!panel.atlas || !other.atlas) return;
    this.image = null;
    this.hovering = true;
    panel.setCode(z);
    other.setCode(link(panel.atlas, other.atlas, z));
    if (pin) this.setPinned(true);
  }

  pick(image) {
    for (const panel of Object.values(this.panels)) panel.setCode(codeOf(panel.atlas, image));
    this.image = image;
    this.setPinned(true);
  }

  setPinned(pinned) {
    this.pinned = pinned;
    for (const panel of Object.values(this.panels)) {
      if (pinned) panel.base = panel.z;
      panel.map?.setMarks({ pinned });
    }
  }

  release() {
    Object.assign(this, { image: null, hovering: false });
    this.setPinned(false);
    for (const panel of Object.values(this.panels)) if (panel.atlas) this.restoreProbe(panel);
  }

  // --- figures ----------------------------------------------------------------------------------------------------

  showSoon() {
    this.showing ||= requestAnimationFrame(() => {
      this.showing = 0;
      this.show();
    });
  }

  show() {
    setText(this.status, this.statusText());
    for (const button of [this.stop, this.stopKeep]) button.hidden = !(this.state === 'training' || this.state === 'waiting') || KINDS.every((kind) => this.sides[kind].ended);
    this.stopKeep.hidden ||= this.state === 'waiting';
    for (const kind of KINDS) {
      this.showBar(kind);
      if (!this.main.hidden) this.showFigures(kind);
    }
    this.showCharts();
    const longest = this.sides.vae.moments.length > this.sides.ae.moments.length ? this.sides.vae : this.sides.ae;
    this.film.grow(longest.moments.map((moment) => moment.epoch));
    this.host.dataset.state = this.state;
  }

  statusText() {
    if (this.state === 'waiting') return this.place ? `Waiting: place ${this.place} in the queue. Another training is running.` : 'Waiting for the training …';
    if (this.state === 'training' && KINDS.every((kind) => this.sides[kind].ended)) return 'Trained. Measuring both models …';
    return {
      training: this.data ? `Training both on ${this.data.title}` : 'Starting …',
      drawing: 'Trained. UMAP is being drawn; everything else is ready.',
      done: 'Trained.',
      stopped: 'Stopped; nothing was kept.',
      failed: 'The training has failed.',
    }[this.state];
  }

  showBar(kind) {
    const { model, moments } = this.sides[kind], { bar, text } = this.bars[kind];
    const last = moments[moments.length - 1];
    if (!model || !last) return;
    bar.max = model.epochs;
    bar.value = last.epoch;
    const speed = last.seconds > 0 ? last.images / last.seconds : 0;
    setText(text, `epoch ${last.epoch.toFixed(1)} of ${model.epochs}${speed ? ` · ${Math.round(speed).toLocaleString('en')} images/s` : ''}${this.remaining(kind)}`);
  }

  /** What is left at the pace since the start, or since it went on, looking included. */
  remaining(kind) {
    const { model, moments, ended, since } = this.sides[kind];
    const first = moments[since], last = moments[moments.length - 1];
    const pace = (last.epoch - first.epoch) / (last.sent - first.sent);
    if (ended || !(pace > 0) || this.state !== 'training') return '';
    const seconds = Math.ceil((model.epochs - last.epoch) / pace);
    return ` · about ${seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`} left`;
  }

  showCharts() {
    const { ae, vae } = this.sides;
    const train = (side, key) => side.curve.map((moment) => [moment.epoch, moment[key]]);
    const held = (side, key) => side.epochs.map((stats) => [stats.epoch, stats[key]]);
    const line = (name, kind, dashed, points) => ({ name, kind, dashed, points });
    this.charts.recon.show([
      line('AE training', 'ae', true, train(ae, 'recon')), line('AE held-out', 'ae', false, held(ae, 'test_recon')),
      line('VAE training', 'vae', true, train(vae, 'recon')), line('VAE held-out', 'vae', false, held(vae, 'test_recon')),
    ]);
    this.charts.kl.show([line('training', 'vae', true, train(vae, 'kl')), line('held-out', 'vae', false, held(vae, 'test_kl'))]);
    const last = vae.moments[vae.moments.length - 1];
    if (last) this.showDims(last);
  }

  showDims({ kl_per_dim: values, active_units: active }) {
    const most = Math.max(...values, 0.1);
    const rows = values.map((value, i) => {
      const fill = h('i');
      fill.style.width = `${(100 * value) / most}%`;
      return h('span', { class: 'dim vae', title: `z${i + 1}: KL ${value.toFixed(3)} nats` }, `z${i + 1}`, h('span', { class: 'dim-bar' }, fill), value.toFixed(2));
    });
    this.dims.replaceChildren(...rows, h('p', { class: 'about' },
      `${active} of ${values.length} units active in the VAE, ${this.sides.ae.moments.at(-1)?.active_units ?? 0} in the AE (variance of the code above 0.01)`));
  }

  showFigures(kind) {
    const side = this.sides[kind], panel = this.panels[this.sideOf(kind)];
    const last = side.epochs[side.epochs.length - 1];
    if (!last) return setText(panel.figures, 'not trained yet');
    const kl = kind === 'vae' ? `, KL ${last.test_kl.toFixed(1)}` : '';
    setText(panel.figures, `epoch ${last.epoch}: held-out reconstruction ${last.test_recon.toFixed(1)} nats (perfect copies ${side.model.perfect_copy.toFixed(1)})${kl}`);
    panel.figures.title = 'Of the held-out images, with z sampled from the posterior (an AE has one code an image).';
  }

  showSamplesSoon() {
    const now = performance.now();
    clearTimeout(this.samplesTimer);
    const wait = Math.max(0, (this.samplesAt ?? 0) + SAMPLES_EVERY_MS - now);
    this.samplesTimer = setTimeout(() => this.showSamples(), wait);
  }

  showSamples() {
    this.samplesAt = performance.now();
    const models = Object.entries(SIDES).map(([side, kind]) => ({ side, kind: kind.toUpperCase(), atlas: this.panels[side].atlas }));
    if (models.every(({ atlas }) => atlas)) this.samples.show(models, this.seed, [models[0].atlas.d]);
  }

  // --- keeping ----------------------------------------------------------------------------------------------------

  showKeep() {
    if (!this.keepPlace.hidden) return;
    const name = h('input', { type: 'text', maxlength: 40, 'aria-label': 'Name of the pair', value: pairName(this.data.title), spellcheck: 'false' });
    name.addEventListener('keydown', (event) => { event.stopPropagation(); if (event.key === 'Enter') keep.click(); });
    const said = h('span', { class: 'about', role: 'status' });
    const keep = h('button', { type: 'button', onclick: async () => {
      const answer = await this.post('keep', { name: name.value.trim() });
      if (!answer) return;
      setText(said, `Kept as ${answer.names.join(' and ')}.`);
      const { latent_dim: d, dataset } = this.sides.ae.model;
      const query = new URLSearchParams({ data: dataset, d: String(d), left: answer.names[0], right: answer.names[1] });
      said.append(' ', h('a', { href: new URL(`./?${query}`, this.base).href, target: '_self' }, 'Open in Explore'));
    } }, 'Keep');
    const zip = h('a', { href: new URL(`jobs/${this.training.id}/models.zip`, this.base).href, download: '' }, 'Download as one file');
    this.keepPlace.replaceChildren(h('label', {}, 'Name ', name), keep, zip, said);
    this.keepPlace.hidden = false;
  }

  async post(what, body) {
    try {
      const response = await fetch(new URL(`jobs/${this.training.id}/${what}`, this.base), {
        method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
      });
      const answer = await response.json();
      if (response.ok) return answer;
      this.notices.say(answer.problem, { brief: true });
    } catch {
      this.notices.say('The server does not answer. Check the connection, then try again.', { brief: true });
    }
    return null;
  }

  // --- the page ---------------------------------------------------------------------------------------------------

  readTheme() {
    this.dark = isDark(getComputedStyle(this.host).backgroundColor);
    this.host.dataset.theme = this.dark ? 'dark' : 'light';
  }

  repaint() {
    this.readTheme();
    this.showClasses();
    for (const panel of Object.values(this.panels)) if (panel.atlas) this.restoreProbe(panel);
  }

  destroy() {
    this.gone = true;
    this.source.close();
    this.film.stop();
    this.slices.stopAll();
    clearTimeout(this.samplesTimer);
    cancelAnimationFrame(this.showing);
    this.host.removeEventListener('keydown', this.onEscape);
    Object.values(this.panels).forEach((panel) => panel.destroy());
    delete this.host.dataset.ready;
  }
}

/** A name for the pair of a data set: letters, digits and dashes. */
function pairName(title) {
  return `my-${title.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'pair'}`.slice(0, 36);
}

/** A panel's facts want figures that a model has only after its first epoch. */
function withFigures(atlas, side) {
  const zero = { test_recon: 0, test_recon_sampled: 0, test_kl: 0 };
  return { ...atlas, model: { ...zero, ...side.epochs.at(-1), ...atlas.model } };
}
