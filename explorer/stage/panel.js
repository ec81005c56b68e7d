/** One model on the stage: its map, what it decodes at the probe, the nearest real image, its sliders. */

import { imageOf } from './atlas.js';
import { h, setText, short } from './dom.js';
import { codeAtQuantile, codeOf, HOLE, nearestCode, shareNearer } from './latent.js';
import { LatentMap } from './map.js';
import { Sliders } from './sliders.js';
import { byQuantile, makeView, percent } from './views.js';

const TITLES = { ae: 'Autoencoder', vae: 'Variational autoencoder' };
const UMAP_LEAST = 5; // as in explorer/projection.py
const HINT = 'Arrow keys move the probe, Enter looks at the nearest image, A and B set the ends of the walk, plus and minus zoom, Escape lets go of the probe.';

export class Panel {
  /**
   * @param {{side: 'left'|'right', on: Record<string, Function>}} options
   *   on.model(name), on.axes(places), on.code(z, options), on.pick(index), on.mark(key, z), on.end(key),
   *   on.reset(), on.mean(), on.random(), on.problem(text), on.beforePress(), on.undoPress(),
   *   on.seen() when the map may show another part of the plane; on.zoomed(zoom), if there is one, after a gesture;
   *   on.moved(), if there is one, when the probe was put on a code
   */
  constructor({ side, on }) {
    this.side = side;
    this.on = on;
    this.atlas = null;
    this.z = null;
    this.base = null;
    /** The code of an end of the walk ("a" or "b"); the stage knows it. */
    this.markCode = () => this.z;
    this.build();
  }

  build() {
    this.title = h('h2');
    this.chooser = h('select', { 'aria-label': `${this.side === 'left' ? 'Left' : 'Right'} model`, onchange: () => this.on.model(this.chooser.value) });
    this.about = h('span', { class: 'about' });
    this.figures = h('span', { class: 'figures' });
    this.served = h('p', { class: 'served', hidden: true });
    this.hearServed = (news) => this.showServed(news);
    this.message = h('p', { class: 'message', role: 'status' });
    this.mapPlace = h('div', { class: 'map-place' });
    this.hole = h('p', { class: 'hole' });
    this.axesPlace = h('span', { class: 'axes' });
    this.trust = h('span', { class: 'trust' });
    this.slidersPlace = h('div', { class: 'sliders-place' });
    this.decodedPlace = h('span', { class: 'picture-place' });
    this.nearestPlace = h('span', { class: 'picture-place' });
    this.nearestCaption = h('figcaption', {}, 'nearest real image');
    const button = (text, title, action) => h('button', { type: 'button', title, onclick: action }, text);
    this.element = h('section', { class: 'panel' },
      h('header', {}, this.title, this.chooser, this.about, this.figures, this.served),
      h('div', { class: 'view' }, this.mapPlace,
        h('div', { class: 'images' },
          h('figure', { class: 'decoded' }, h('figcaption', {}, 'decoded at the probe'), this.decodedPlace),
          h('figure', { class: 'nearest' }, this.nearestCaption, this.nearestPlace), this.hole)),
      h('p', { class: 'under' }, this.axesPlace, this.trust),
      this.slidersPlace,
      h('p', { class: 'tools' },
        button('Reset', 'Back to the median of every dimension, all of the map', () => this.on.reset()),
        button('Random', 'Each dimension drawn from the quantiles of its own codes', () => this.on.random()),
        button('To the mean', 'The mean of all held-out codes', () => this.on.mean())),
      this.message);
  }

  /** Say what is being waited for, or what went wrong. */
  say(text) {
    setText(this.message, text);
    this.element.classList.toggle('waiting', text !== '' && !this.atlas);
  }

  /**
   * Put another model on this side.
   * @param {any} atlas
   * @param {string} name  "AE" or "VAE": the first word of every accessible name here
   */
  setModel(atlas, name) {
    this.destroy();
    this.atlas = atlas;
    this.name = name;
    const { model } = atlas;
    this.follows = false;
    this.element.className = `panel ${model.model}`;
    setText(this.title, TITLES[model.model]);
    this.showFacts(model);
    this.map = new LatentMap({ name: `${name} latent map`, hint: HINT, on: this.gestures() });
    this.mapPlace.replaceChildren(this.map.element);
    this.decoded = atlas.items.large(`${name} decoded image`);
    this.nearest = atlas.items.small(`${name} nearest real image`, { className: 'sharp' });
    this.decodedPlace.replaceChildren(this.decoded.element);
    this.nearestPlace.replaceChildren(this.nearest.element);
    this.items = `${model.drawn ? 'drawn' : 'real'} ${atlas.items.noun}`;
    setText(this.nearestCaption, `nearest ${this.items}`);
    this.served.hidden = !model.decode && !model.drawn;
    this.showServed({});
    atlas.decoder.listeners?.add(this.hearServed);
    this.sliders = new Sliders({
      kind: name,
      atlas,
      onInput: (dim, value) => {
        const z = Float64Array.from(this.z);
        z[dim] = value;
        this.on.code(z, { pin: true });
      },
      onProblem: (text) => this.on.problem(text),
    });
    this.slidersPlace.replaceChildren(this.sliders.element);
    this.base = codeAtQuantile(atlas, 0.5);
    this.z = null;
    this.nearestIndex = -1;
  }

  /**
   * The same network with other weights and codes: a moment later in its training, or trained with another beta.
   * @param {any} atlas
   */
  follow(atlas) {
    this.atlas = atlas;
    this.nearestIndex = -1;
    this.sliders.fit(atlas);
  }

  /** Whether this model waits for the server, how long, why there is no answer if there is none, and what its points are. */
  showServed({ ms, problem }) {
    const { decode, drawn } = this.atlas.model;
    const time = ms ? `, ${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms an answer` : '';
    const parts = [decode && `Not live: decoded on the server${time}.`, drawn && 'No encoder: the points are draws from N(0, I), the images what it decodes from them.'];
    setText(this.served, problem ?? parts.filter(Boolean).join(' '));
    this.served.classList.toggle('failed', Boolean(problem));
  }

  showFacts(model) {
    if (model.arch === 'onnx') return this.showBroughtFacts(model);
    const network = model.arch === 'mlp' ? [model.image_shape.reduce((a, b) => a * b), ...model.hidden, model.latent_dim].join('·') : `conv ${model.hidden.join('·')}·${model.latent_dim}`;
    setText(this.about, model.model === 'vae' ? `${network}, β = ${model.beta}` : network);
    const kl = model.model === 'vae' ? `, KL ${model.test_kl.toFixed(1)}` : '';
    setText(this.figures, `reconstruction ${model.test_recon.toFixed(1)} nats (perfect copies ${model.perfect_copy.toFixed(1)})${kl}`);
    this.figures.title = `Mean of ${model.n_test.toLocaleString('en')} test images, decoded from the code itself (a VAE's mean); ` +
      `perfect copies: of the ${this.atlas.n.toLocaleString('en')} shown. Binary cross-entropy of ${this.atlas.items.measured} is never 0. ` +
      `With z sampled: ${model.test_recon_sampled.toFixed(1)}. Trained on ${model.n_train.toLocaleString('en')} images, ${model.epochs} epochs, seed ${model.seed}.`;
  }

  /** What is known of a model that was brought as ONNX: nobody here has seen it learn. */
  showBroughtFacts(model) {
    setText(this.about, `brought as ONNX, ${model.parameters.toLocaleString('en')} weights`);
    const kl = model.parts.posterior ? `, KL ${model.test_kl.toFixed(1)}` : '';
    setText(this.figures, model.drawn ? 'no reconstruction without an encoder' : `reconstruction ${model.test_recon.toFixed(1)} nats (perfect copies ${model.perfect_copy.toFixed(1)})${kl}`);
    this.figures.title = model.drawn ? '' : `Mean of ${model.n_test.toLocaleString('en')} held-out ${this.atlas.items.noun}s, measured when it was brought.`;
  }

  /** Which models may stand here. dial: those of the beta dial, which have a name of their own. */
  setChoices(models, chosen, dial = []) {
    const usual = models.filter((model) => !dial.includes(model));
    const text = (model) => {
      const kind = model.model.toUpperCase();
      if (dial.includes(model)) return `${kind} of the dial`;
      return usual.filter((other) => other.model === model.model).length > 1 ? model.name : kind;
    };
    this.chooser.replaceChildren(...models.map((model) => h('option', { value: model.name, selected: model.name === chosen }, text(model))));
  }

  /** kind: raw, pca or umap; axes: places in the order of activity; quantile: whether the axes count quantiles. */
  setView(kind, axes, quantile) {
    const dims = axes.map((place) => this.atlas.order[Math.min(place, this.atlas.d - 1)]);
    const view = makeView(this.atlas, kind, dims);
    this.view = quantile && view.quantiles ? byQuantile(view) : view;
    this.follows ? this.map.followView(this.view) : this.map.setView(this.view);
    const snaps = this.view.snaps ? 'UMAP cannot be run backwards: the probe snaps to the nearest code. ' : '';
    const few = this.atlas.n < UMAP_LEAST ? `UMAP needs at least ${UMAP_LEAST} ${this.atlas.items.noun}s` : 'UMAP is not drawn yet';
    const waiting = kind === 'umap' && !this.atlas.umap && this.atlas.d > 1 ? `${few}; this is PCA. ` : '';
    const trust = this.view.trust === null ? '' : `Trustworthiness of this view ${this.view.trust.toFixed(3)}`;
    setText(this.trust, `${waiting}${snaps}${trust}`);
    const { points, neighbours } = this.atlas.model.trust ?? { points: 0, neighbours: 0 };
    this.trust.title = this.view.trust === null ? '' : `Of the ${neighbours} nearest neighbours one sees, how many are near in all ${this.atlas.d} dimensions (${Math.min(points, this.atlas.n)} points). 1 is perfect, about 0.5 is chance.`;
    const choosable = kind === 'raw' && this.atlas.d > 2;
    this.axesPlace.replaceChildren(...(choosable ? [this.axisSelect('across', 0, axes), this.axisSelect('up', 1, axes)] : []));
  }

  axisSelect(word, which, axes) {
    const select = h('select', { 'aria-label': `${this.name} axis ${word}` });
    this.atlas.order.forEach((dim, place) => select.append(h('option', { value: place, selected: place === axes[which] }, `z${dim + 1}`)));
    select.addEventListener('change', () => {
      const chosen = [...axes];
      chosen[which] = Number(select.value);
      if (chosen[0] === chosen[1]) chosen[1 - which] = axes[which];
      this.on.axes(chosen);
    });
    return h('label', {}, `${word} `, select);
  }

  /** Put the probe on a code: decode it, find the nearest real image, move the sliders and the mark. */
  setCode(z) {
    this.z = z;
    this.showDecoded(z);
    const { index, distance } = nearestCode(this.atlas, z);
    if (index !== this.nearestIndex) this.showNearest(index);
    this.showHole(distance);
    this.sliders.set(z);
    this.map.setMarks({ probe: this.view.fromCode(z), nearest: this.view.fromCode(codeOf(this.atlas, index)) });
    this.on.moved?.();
  }

  /** What is decoded at the probe. A server answers later; until then what stands there is marked as old. */
  showDecoded(z) {
    const { atlas } = this;
    this.element.classList.toggle('awaits', Boolean(atlas.model.decode));
    atlas.decoder.follow(this, z, (x_hat, isLast) => {
      if (this.atlas !== atlas) return;
      this.decoded.paint(x_hat, 255);
      if (isLast) this.element.classList.remove('awaits');
    });
  }

  /** How the probe's distance from the nearest code compares with the distances between codes. */
  showHole(distance) {
    const { n } = this.atlas;
    if (n < 2) return setText(this.hole, `With one ${this.items} there is no distance to compare with.`);
    const share = shareNearer(this.atlas, distance);
    const usual = distance / this.atlas.distances[this.atlas.distances.length >> 1];
    const times = Number.isFinite(usual) ? ` (${short(usual)} times the usual distance)` : '';
    setText(this.hole, `${share > HOLE ? 'A hole: ' : ''}farther from any code than ${percent(share)} of ${this.items}s${times}`);
    this.hole.classList.toggle('far', share > HOLE);
  }

  showNearest(index) {
    this.nearestIndex = index;
    const bytes = imageOf(this.atlas, index);
    if (!bytes) return;
    this.nearest.paint(bytes, 1);
    this.decoded.mark(bytes, 1);
  }

  /** What a screen reader hears after a step with the keyboard. */
  spoken(classes) {
    return `${this.name}: nearest ${this.items} is of class ${classes[this.atlas.labels[this.nearestIndex]]}, ${this.hole.textContent}.`;
  }

  gestures() {
    const at = (x, y) => this.view.toCode(x, y, this.base);
    return {
      hover: (x, y) => this.on.code(at(x, y), { pin: false }),
      press: (x, y, first) => {
        if (first) this.on.beforePress();
        this.on.code(at(x, y), { pin: true });
      },
      undoPress: () => this.on.undoPress(),
      drag: (x, y) => this.on.code(at(x, y), { pin: true }),
      pick: (index) => this.on.pick(index),
      moveMark: (key, x, y) => this.on.mark(key, this.view.toCode(x, y, this.markCode(key))),
      key: (event) => this.keyed(event),
      seen: () => this.on.seen(),
      zoomed: (zoom) => this.on.zoomed?.(zoom),
    };
  }

  keyed({ key, shiftKey }) {
    const move = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    if (move) {
      const [x, y] = this.view.fromCode(this.z), [ux, uy] = this.map.unit(), step = shiftKey ? 20 : 4;
      this.on.code(this.step(x, y, move[0] * step * ux, move[1] * step * uy), { pin: true, spoken: true });
    } else if (key === 'Enter') this.on.pick(this.nearestIndex);
    else if (['a', 'b', 'A', 'B'].includes(key)) this.on.end(key.toLowerCase());
    else return false;
    return true;
  }

  /** One step from a point. Where only codes of images can be had, go on until another image is nearest. */
  step(x, y, dx, dy) {
    for (let far = 1; far <= 64; far++) {
      const z = this.view.toCode(x + far * dx, y + far * dy, this.z);
      if (!this.view.snaps || z.some((value, i) => value !== this.z[i])) return z;
    }
    return this.z;
  }

  destroy() {
    this.atlas?.decoder.listeners?.delete(this.hearServed);
    this.map?.destroy();
  }
}
