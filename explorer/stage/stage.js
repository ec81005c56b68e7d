/**
 * The stage: two panels, one probe, and the switches over them. It holds the state, hands it to the parts and writes it
 * into the page's address. It needs a catalogue and an address to fetch from, and no server beyond that.
 */

import { atlasHere, loadAtlas } from './atlas.js';
import { h, setText } from './dom.js';
import { makeDial } from './dial.js';
import { makeDownload } from './download.js';
import { makeEmbed } from './embed.js';
import { makeEllipses } from './ellipses.js';
import { makeGrids } from './grid.js';
import { makeInspect } from './inspect.js';
import { codeAtQuantile, codeOf, link, meanCode, nearestCode, pathPoint, valueAt } from './latent.js';
import { makeOverlay } from './overlay.js';
import { isEmbedded, makeAddress, makeNotices } from './page.js';
import { classColours, isDark } from './palette.js';
import { Panel } from './panel.js';
import { makeSamples } from './samples.js';
import { makeSlices } from './slices.js';
import { defaultPair, dialPair, dimensionsOf, FRESH, modelsFor, onDial, pairFor, readState, rounded, UNZOOMED, withFeatures, writeState } from './state.js';
import { makeBridge, makeLegend, makeSwitches } from './switches.js';
import { makeTake } from './take.js';
import { makeWalk } from './walk.js';
import { makeWords } from './words.js';

const SIDES = ['left', 'right'];
const WAY_POINTS = 33;
const ZOOM_OF = { left: 'zoom', right: 'zoomr' };
const NEW_PLANE = ['left', 'right', 'view', 'axes', 'behind'];

/** A code by the numbers that the address keeps. */
function kept(z) {
  return Float64Array.from(z, rounded);
}

export class Stage {
  /**
   * @param {HTMLElement} host
   * @param {any} catalogue  see explorer/catalogue.py
   * @param {string|URL} base  what the catalogue's addresses are relative to
   * @param {{address?: ReturnType<typeof makeAddress>, onProbe?: () => void}} [around]  where the view is kept, the page's
   *     address unless told otherwise; onProbe is called whenever a probe was put on a code
   */
  constructor(host, catalogue, base, { address = makeAddress(catalogue), onProbe = () => {} } = {}) {
    this.host = host;
    this.catalogue = withFeatures(catalogue);
    this.base = base;
    this.slices = makeSlices();
    this.loads = 0;
    this.notices = makeNotices();
    this.address = address;
    this.onProbe = onProbe;
    this.readTheme();
    host.replaceChildren(this.notices.element);
    catalogue.problems.forEach(this.notices.say);
    if (!catalogue.models.length) return;
    const { state, problems } = readState(address.query, this.catalogue);
    this.state = state;
    problems.forEach(this.notices.say);
    this.build();
    host.addEventListener('keydown', (event) => event.key === 'Escape' && this.setPinned(false));
    this.load();
  }

  // --- parts ------------------------------------------------------------------------------------------------------

  build() {
    this.panels = Object.fromEntries(SIDES.map((side) => [side, new Panel({ side, on: this.panelEvents(side) })]));
    this.overlay = makeOverlay({ slices: this.slices, base: this.base, datasets: this.catalogue.datasets, panels: this.panels });
    this.ellipses = makeEllipses({ base: this.base, panels: this.panels, onProblem: (text) => this.notices.say(text, { brief: true }) });
    this.grids = makeGrids({ slices: this.slices, panels: this.panels });
    this.samples = makeSamples({
      slices: this.slices,
      onSeed: (seed) => this.change({ seed }),
      onProblem: (text) => this.notices.say(text, { brief: true }),
      onMoreDimensions: (d) => this.choosePair({ d }),
      onPick: (side, z) => this.setCode(side, z, { pin: true }),
    });
    this.walk = makeWalk({
      slices: this.slices,
      onKind: (walk) => this.change({ walk }),
      onEnd: (key, from) => this.setEnd(key, from),
      onPlace: (codes, t) => this.place(codes, t),
    });
    this.inspect = makeInspect({ onImage: (image) => this.change({ image }) });
    this.switches = makeSwitches(this.catalogue, {
      data: (data) => this.choosePair({ data }),
      d: (d) => this.choosePair({ d }),
      view: (view) => this.change({ view }),
      behind: (behind) => this.change({ behind, ...(behind === 'grid' ? { layer: 'none' } : {}) }),
      layer: (layer) => this.change({ layer, ...(layer !== 'none' && this.state.behind === 'grid' ? { behind: 'nothing' } : {}) }),
      ellipses: (ellipses) => this.change({ ellipses }),
      dial: () => this.toggleDial(),
    });
    this.dial = makeDial({ catalogue: this.catalogue, base: this.base, onTurn: (model) => this.turn(model) });
    const taken = { base: this.base, query: () => this.pairAndView() };
    this.download = makeDownload(taken);
    const { alone, start } = this.catalogue; // no server of ours behind it; no page either, but a file or a cell
    const others = [alone ? null : this.download.element, start ? null : makeEmbed(taken).element];
    this.take = isEmbedded() ? null : makeTake({ stage: this, base: this.base, hasServer: !alone, others });
    this.bridge = makeBridge({ onLink: () => this.toggleLink(), onPin: () => this.setPinned(this.state.z === null) });
    this.legend = makeLegend({ onClass: (chosen) => this.change({ class: chosen }) });
    this.spoken = h('p', { class: 'only-spoken', 'aria-live': 'polite' });
    this.host.replaceChildren(
      h('header', { class: 'top' }, h('h1', {}, 'Latent ', h('span', { class: 'ae-ink' }, 'Ex'), h('span', { class: 'vae-ink' }, 'plorer')),
        h('p', {}, 'Move over a map: every point is a code, and both decoders answer. Press to hold the probe. Can you find a hole?'), this.legend.element),
      this.switches.element, this.dial.element, this.overlay.element, this.ellipses.element, this.notices.element,
      h('div', { class: 'panels' }, this.panels.left.element, this.bridge.element, this.panels.right.element),
      h('div', { class: 'blocks' }, this.samples.element, this.walk.element, this.inspect.element),
      ...(this.take ? [this.take.element] : []), makeWords(), this.spoken);
  }

  panelEvents(side) {
    return {
      model: (name) => this.change({ [side]: name, ...FRESH }),
      axes: (axes) => this.change({ axes }),
      code: (z, options) => {
        if (options.pin || this.state.z === null) this.setCode(side, z, options);
      },
      pick: (image) => this.pick(image),
      beforePress: () => { this.before = { z: this.state.z, zr: this.state.zr, t: this.state.t, image: this.state.image }; },
      undoPress: () => this.undoPress(),
      mark: (key, z) => this.moveEnd(side, key, z),
      end: (key) => this.setEnd(key, 'probe'),
      reset: () => this.reset(),
      mean: () => this.setCode(side, meanCode(this.panels[side].atlas), { pin: true }),
      random: () => this.randomCode(side),
      problem: (text) => this.notices.say(text, { brief: true }),
      seen: () => this.overlay.soon(),
      moved: () => this.onProbe(),
      zoomed: (zoom) => {
        this.state[ZOOM_OF[side]] = zoom;
        this.address.write(this.state);
      },
    };
  }

  /** The address's query for both models by name and the view as it stands. */
  pairAndView() {
    const query = new URLSearchParams(writeState('', this.state, this.catalogue));
    for (const side of SIDES) query.set(side, this.state[side]);
    return query.toString();
  }

  // --- models and switches ----------------------------------------------------------------------------------------

  models() {
    const all = [...this.catalogue.models, ...this.catalogue.dial];
    return SIDES.map((side) => all.find((model) => model.name === this.state[side]));
  }

  /** Another data set or number of dimensions. */
  choosePair(patch) {
    const data = patch.data ?? this.state.data;
    const all = dimensionsOf(this.catalogue, data);
    const wanted = patch.d ?? this.state.d;
    const d = all.includes(wanted) ? wanted : all[0];
    this.change({ data, d, ...pairFor(this.catalogue, this.state, data, d), ...FRESH, axes: [0, 1], class: null });
  }

  /** The dial on, at beta 1 and with the AE of its size on the left; or off. */
  toggleDial() {
    const { data, d } = this.state;
    const pair = onDial(this.catalogue, this.state) ? defaultPair(this.catalogue, data, d) : dialPair(this.catalogue, data, d, 1);
    this.change({ ...pair, ...FRESH });
  }

  /** The dial's next model in the right-hand place; all that stands left stays. */
  async turn(model) {
    const { right } = this.panels, turn = ++this.loads;
    if (!right.atlas) return this.change({ right: model.name });
    Object.assign(this.state, { right: model.name, zoomr: null, t: null });
    this.address.write(this.state);
    this.showSwitches();
    try {
      const atlas = atlasHere(model) ?? await loadAtlas(model, this.base);
      if (turn !== this.loads) return;
      this.showTurned(atlas);
      await Promise.all([atlas.imagesHere, new Promise((done) => requestAnimationFrame(() => setTimeout(done)))]);
      if (turn === this.loads) this.showBlocks();
    } catch ({ message }) {
      if (turn !== this.loads) return;
      this.notices.say(`${model.name} cannot be shown. ${message}`, { brief: true });
      this.change({ right: right.atlas.model.name });
    }
  }

  /** What is held by an image stays with it; any other code goes where as many codes lie below it, in each dimension. */
  showTurned(atlas) {
    const { left, right } = this.panels, { zr } = this.state;
    const before = right.atlas, moved = (z) => kept(link(before, atlas, z)), picked = this.pickedImage();
    for (const key of ['a', 'b']) {
      const { codes } = this.state[key];
      if (codes) this.state[key] = { codes: [codes[0], moved(codes[1])] };
    }
    right.follow(atlas);
    if (picked !== null) right.z = codeOf(atlas, picked);
    else right.z = this.settle(right, zr || !this.linked() ? moved(right.z) : link(left.atlas, atlas, left.z));
    right.base = right.z;
    right.showFacts(atlas.model);
    this.showChoices();
    this.walk.stop();
    this.show(['view'], [right]);
    this.setPinned(this.state.z !== null);
  }

  /** What follows once the map has answered: the blocks below. */
  showBlocks() {
    this.panels.right.showNearest(this.panels.right.nearestIndex);
    this.walk.showModels(this.described());
    this.take?.showModels();
    this.show(['seed', 'image', 'a', 'b']);
  }

  /** Change the state, show what follows from it, and keep it in the address. */
  change(patch) {
    Object.assign(this.state, patch);
    if (['a', 'b', 'walk'].some((key) => key in patch)) this.state.t = null; // the probe stays, the way does not
    if (NEW_PLANE.some((key) => key in patch)) Object.assign(this.state, UNZOOMED);
    if ('left' in patch || 'right' in patch) this.state.image = Math.min(this.state.image, ...this.models().map(({ n }) => n - 1));
    this.address.write(this.state);
    if ('left' in patch || 'right' in patch) this.load();
    else this.show(Object.keys(patch));
  }

  async load() {
    const turn = ++this.loads;
    const models = this.models();
    this.showSwitches();
    this.showChoices();
    const missing = models.filter((model) => !atlasHere(model));
    const megabytes = missing.flatMap(({ parts }) => [parts.images, parts.codes, parts.decoder]).filter(Boolean).reduce((sum, { bytes }) => sum + bytes, 0) / 1e6;
    SIDES.forEach((side, i) => this.panels[side].say(missing.includes(models[i]) ? `Loading ${models[i].name} (${megabytes.toFixed(1)} MB at most) …` : ''));
    const results = await Promise.allSettled(models.map((model) => atlasHere(model) ?? loadAtlas(model, this.base)));
    if (turn !== this.loads) return;
    this.slices.stopAll();
    const sound = results.find(({ status }) => status === 'fulfilled');
    results.forEach(({ status, reason }, i) => {
      const failed = status === 'rejected' ? `${models[i].name} cannot be shown. ${reason.message}` : '';
      this.panels[SIDES[i]].say(failed);
      if (failed && sound) this.notices.say(`${failed} The other model stands on both sides until you choose again.`);
    });
    if (sound) this.showModels(results.map(({ value }) => value ?? sound.value));
  }

  /** In each chooser: what may stand there, the dial's model among it while it does. */
  showChoices() {
    const here = modelsFor(this.catalogue, this.state.data, this.state.d);
    this.models().forEach((model, i) => this.panels[SIDES[i]].setChoices([...new Set([...here, model])], model.name, this.catalogue.dial));
  }

  showModels(atlases) {
    const same = atlases[0].model.model === atlases[1].model.model;
    SIDES.forEach((side, i) => {
      const kind = atlases[i].model.model.toUpperCase();
      this.panels[side].setModel(atlases[i], same ? `${kind} ${side}` : kind);
    });
    this.download.show(atlases.map(({ model }) => model));
    this.walk.stop();
    this.walk.showModels(this.described());
    this.take?.showModels();
    this.restoreProbe();
    this.showAccents();
    this.show(['view', 'axes', 'class', 'behind', 'layer', 'ellipses', 'seed', 'image', 'a', 'b', 'walk', 'link']);
    this.host.dataset.ready = 'true';
    Promise.all(atlases.map((atlas) => atlas.imagesHere)).then(() => this.showImages(), ({ message }) => this.notices.say(message));
  }

  /** The real images are here: show those that are wanted. */
  showImages() {
    for (const panel of Object.values(this.panels)) panel.showNearest(panel.nearestIndex);
    this.show(['image']);
  }

  /** The probe as the state has it: on the walk, pinned at a code, or at the median of every dimension. */
  restoreProbe() {
    const { left, right } = this.panels, { state } = this;
    if (state.t !== null) {
      this.showWalk();
      [state.z, state.zr] = this.walk.codesAt(state.t).map(kept);
    }
    left.z = state.z ?? codeAtQuantile(left.atlas, 0.5);
    right.z = state.zr ?? (this.linked() ? this.partner(left, right) : codeAtQuantile(right.atlas, 0.5));
    for (const panel of [left, right]) panel.base = panel.z;
    this.overlay.soon();
  }

  /** Left and right as the blocks below want them. */
  described() {
    return SIDES.map((side) => {
      const { atlas, name } = this.panels[side];
      return { side, kind: name, atlas };
    });
  }

  /** Show what the changed keys touch, on these panels, and nothing else. */
  show(keys, panels = Object.values(this.panels)) {
    const any = (...names) => names.some((name) => keys.includes(name));
    const { left, right } = this.panels;
    this.showSwitches();
    if (!left.atlas || !right.atlas) return;
    const moved = any('view', 'axes', 'behind');
    if (moved) for (const panel of panels) this.showPlane(panel);
    if (moved || any('class')) this.showClasses(panels);
    if (moved || any('link')) this.showProbe(panels);
    if (any('seed')) this.samples.show(this.described(), this.state.seed, dimensionsOf(this.catalogue, this.state.data));
    if (any('image')) this.inspect.show(this.described(), this.state.image, this.classes());
    if (any('a', 'b', 'walk')) this.showWalk();
    if (moved || any('a', 'b', 'walk')) this.showPath(panels);
    if (moved || any('image')) for (const panel of panels) panel.map.setMarks({ image: panel.view.fromCode(codeOf(panel.atlas, this.state.image)) });
    if (moved) this.grids.show(panels, this.state.behind === 'grid');
    if (moved || any('layer')) this.overlay.show(this.state);
    if (moved || any('ellipses', 'class', 'image')) this.showEllipses();
  }

  showPlane(panel) {
    const { view, axes, behind, [ZOOM_OF[panel.side]]: zoom } = this.state;
    panel.setView(view, axes, behind === 'grid');
    if (zoom) panel.map.zoomTo(zoom);
  }

  showSwitches() {
    this.switches.show(this.state);
    this.dial.show(this.state);
    this.showPin();
  }

  // --- classes ----------------------------------------------------------------------------------------------------

  classes() {
    return this.catalogue.datasets[this.state.data].classes;
  }

  showClasses(panels = Object.values(this.panels)) {
    const colours = classColours(this.dark);
    this.legend.show(this.classes(), colours, this.state.class);
    for (const { map, atlas } of panels) {
      map.set({ selectedClass: this.state.class, colours, labels: atlas.labels, names: this.classes() });
    }
  }

  // --- the probe --------------------------------------------------------------------------------------------------

  linked() {
    return this.state.link === 'quantile';
  }

  /** Put one side's probe on a code; the other goes along if they are linked. */
  setCode(side, z, { pin, spoken = false }) {
    this.walk.stop();
    this.notices.settle();
    const panel = this.panels[side], other = this.panels[side === 'left' ? 'right' : 'left'], asKept = (code) => (pin ? kept(code) : code);
    this.state.t = null;
    panel.setCode(asKept(z));
    if (this.linked()) other.setCode(asKept(this.settle(other, link(panel.atlas, other.atlas, panel.z))));
    if (pin) this.setPinned(true);
    if (spoken) this.speak();
  }

  /** Where a view can show codes of images only, the nearest of them. */
  settle({ view, atlas }, z) {
    return view.snaps ? codeOf(atlas, nearestCode(atlas, z).index) : z;
  }

  /** Both probes at once: a walk, of which this is the place t, goes through each model on its own path. */
  place([left, right], t = null) {
    this.panels.left.setCode(kept(left));
    this.panels.right.setCode(kept(right));
    this.state.t = t;
    this.setPinned(true);
  }

  /** Look at one image: below, and with each probe on its code in its own model. */
  pick(image) {
    this.change({ image });
    this.place(SIDES.map((side) => codeOf(this.panels[side].atlas, image)));
  }

  /** The presses were a double click, which asks for the whole map and for nothing else. */
  undoPress() {
    this.change(this.before);
    this.restoreProbe();
    this.showProbe();
    this.showPin();
  }

  setPinned(pinned) {
    const { left, right } = this.panels;
    if (!left.z) return;
    if (pinned) for (const panel of [left, right]) this.keepCode(panel);
    else this.state.t = null;
    this.overlay.soon();
    Object.assign(this.state, { z: pinned ? left.z : null, zr: pinned && !this.isLink(left, right) ? right.z : null });
    this.showPin();
    this.address.write(this.state);
    this.showEllipses();
    if (pinned && this.state.behind === 'grid' && this.state.d > 2) this.grids.soon();
  }

  /** A held probe stands where the address says: what others see from it is the same to the last pixel. */
  keepCode(panel) {
    const z = kept(panel.z);
    if (z.some((value, i) => value !== panel.z[i])) panel.setCode(z);
    panel.base = panel.z;
  }

  /** Where the link puts the right probe. */
  partner(left, right) {
    const z = link(left.atlas, right.atlas, left.z);
    return this.state.z ? kept(z) : z;
  }

  isLink(left, right) {
    return kept(link(left.atlas, right.atlas, left.z)).every((value, i) => value === right.z[i]);
  }

  /** Have the view in the address now, the probe held where it is: what follows the pointer could not be shared. */
  hold() {
    if (!this.panels?.right.atlas) return;
    this.walk.stop();
    if (this.state.z === null) this.setPinned(true);
    this.address.now(this.state);
  }

  showPin() {
    const pinned = this.state.z !== null;
    this.bridge.show({ linked: this.linked(), pinned });
    this.walk.standAt(this.state.t);
    for (const { map } of Object.values(this.panels)) map?.setMarks({ pinned });
  }

  showProbe(panels = Object.values(this.panels)) {
    for (const panel of panels) panel.setCode(panel.z);
  }

  showAccents() {
    for (const { map, title } of Object.values(this.panels)) map.setMarks({ accent: getComputedStyle(title).color });
  }

  toggleLink() {
    const { left, right } = this.panels;
    const now = this.linked() ? 'free' : 'quantile';
    if (now === 'quantile') right.z = this.settle(right, link(left.atlas, right.atlas, left.z));
    this.change({ link: now });
    this.setPinned(this.state.z !== null);
  }

  reset() {
    this.setPinned(false);
    this.restoreProbe();
    for (const { map } of Object.values(this.panels)) map.resetZoom();
    this.showProbe();
  }

  randomCode(side) {
    const { atlas } = this.panels[side];
    this.setCode(side, Float64Array.from({ length: atlas.d }, (_, dim) => valueAt(atlas, dim, Math.random())), { pin: true });
  }

  speak() {
    setText(this.spoken, SIDES.map((side) => this.panels[side].spoken(this.classes())).join(' '));
  }

  // --- the walk and the ellipses -------------------------------------------------------------------------------------

  /** The codes of one end of the walk, left and right. */
  endCodes(key) {
    const end = this.state[key];
    return SIDES.map((side, i) => ('image' in end ? codeOf(this.panels[side].atlas, end.image) : end.codes[i]));
  }

  setEnd(key, from) {
    const { left, right } = this.panels;
    this.change({ [key]: from === 'image' ? { image: this.state.image } : { codes: [left.z, right.z].map(kept) } });
  }

  moveEnd(side, key, z) {
    const codes = this.endCodes(key);
    const [mine, other] = side === 'left' ? [0, 1] : [1, 0];
    codes[mine] = kept(z);
    if (this.linked()) codes[other] = kept(link(this.panels[SIDES[mine]].atlas, this.panels[SIDES[other]].atlas, codes[mine]));
    this.change({ [key]: { codes } });
  }

  showWalk() {
    const [a, b] = [this.endCodes('a'), this.endCodes('b')];
    this.walk.showPath(SIDES.map((_, i) => [a[i], b[i]]), this.state.walk);
  }

  /** The walk's ends and way on the maps. */
  showPath(panels) {
    const [a, b] = [this.endCodes('a'), this.endCodes('b')];
    for (const panel of panels) {
      const i = SIDES.indexOf(panel.side), { map, view } = panel;
      const way = Array.from({ length: WAY_POINTS }, (_, k) => view.fromCode(pathPoint(a[i], b[i], k / (WAY_POINTS - 1), this.state.walk)));
      panel.markCode = (key) => this.endCodes(key)[i];
      map.setMarks({ a: way[0], b: way[WAY_POINTS - 1], path: view.snaps ? null : way });
    }
  }

  showEllipses() {
    const { ellipses, class: chosenClass } = this.state;
    this.ellipses.show({ on: ellipses === 'on', picked: this.pickedImage(), chosenClass, className: this.classes()[chosenClass] });
  }

  /** The image looked at if the probe is held on its code; else null. */
  pickedImage() {
    const { z, image } = this.state;
    const at = z && codeOf(this.panels.left.atlas, image);
    return z && z.every((value, i) => Math.abs(value - at[i]) < 1e-6 * (1 + Math.abs(value))) ? image : null;
  }

  // --- the page ---------------------------------------------------------------------------------------------------

  readTheme() {
    this.dark = isDark(getComputedStyle(this.host).backgroundColor);
    this.host.dataset.theme = this.dark ? 'dark' : 'light';
  }

  /** The page's theme may have changed: draw again what is drawn by hand. */
  repaint() {
    this.readTheme();
    if (!this.panels?.right.atlas) return;
    this.showClasses();
    this.showAccents();
    this.overlay.repaint();
  }

  destroy() {
    this.walk?.stop();
    this.slices.stopAll();
    this.overlay?.stop();
    this.address.stop();
    this.take?.stop();
    this.grids?.stop();
    Object.values(this.panels ?? {}).forEach((panel) => panel.destroy());
  }
}
