/**
 * The cloud q(z|x) of one image in the VAE of two dimensions, to pull at: as draws (z = mu + sigma epsilon), or as the two
 * parts of the loss.
 */

import { makeChart } from './chart.js';
import { CLOUD_IMAGE, crossEntropy, posteriorOf } from './claims.js';
import { reconError } from './decoder.js';
import { h, paint, pictureCanvas, setText } from './dom.js';
import { LatentMap, WITHIN_2D } from './map.js';
import { breathe } from './material.js';
import { classColours, isDark } from './palette.js';
import { draws } from './random.js';
import { chooseImage, copyTile, labelledSlider, telling } from './tiles.js';
import { makeView } from './views.js';

const SHOWN = 10, AVERAGED = 24;
const SLOPE_STEP = 0.25, LONGEST_PX = 100;
const LEAST_SIGMA = 0.01, MOST_SIGMA = 3, FACTORS = 31, LEAST_FACTOR = 0.1, MOST_FACTOR = 6;
const ZOOM = 8, ROOM = 3, SMALL_SHARE = 0.1, DOT_PX = 0.8;
const HINT = 'Arrow keys move mu, Enter goes back to the image’s own cloud, plus and minus zoom.';

/**
 * @param {any} material
 * @param {{shows: 'draws'|'loss'}} options
 */
export async function makeCloud(material, { shows }) {
  const [images, judge] = [await material.images(), await material.judge()];
  const { atlas } = await posteriorOf(material, CLOUD_IMAGE);
  const view = makeView(atlas, 'raw', [0, 1]);
  const state = { image: CLOUD_IMAGE, mu: [0, 0], sigma: [1, 1], eps: [0.8, -0.6], seed: 0 };
  const map = new LatentMap({ name: 'VAE latent map', hint: HINT, on: gestures() });
  const parts = shows === 'draws' ? drawParts() : lossParts();
  const sliders = [
    ...pair('mu', -4, 4, 0.01, state.mu, (value) => value),
    ...pair('sigma', Math.log(LEAST_SIGMA), Math.log(MOST_SIGMA), 0.01, state.sigma, Math.exp, Math.log),
    ...(shows === 'draws' ? pair('epsilon', -3, 3, 0.01, state.eps, (value) => value) : []),
  ];
  const picker = chooseImage(images, choose);
  const own = h('button', { type: 'button', onclick: () => choose(state.image) }, 'Back to its own cloud');
  const element = h('div', { class: 'cloud vae' },
    h('div', { class: 'picture-tools' }, picker.element, own, ...parts.tools),
    h('div', { class: 'cloud-view' }, h('div', { class: 'map-place' }, map.element), parts.side),
    h('div', { class: 'sliders-grid' }, ...sliders.map(({ slider }) => slider.element)), parts.below);

  /** Two sliders, one a dimension. */
  function pair(name, low, high, step, values, from, to = from) {
    return [0, 1].map((dim) => {
      const slider = labelledSlider({
        name: `${name} ${dim + 1}`, low, high, step, text: () => values[dim].toFixed(name === 'sigma' ? 3 : 2),
        onInput: (value) => { values[dim] = from(value); show(); },
      });
      return { slider, show: () => slider.show(to(values[dim])) };
    });
  }

  function gestures() {
    const pull = (x, y) => { [state.mu[0], state.mu[1]] = [x, y]; show(); };
    return {
      hover: () => {}, press: pull, drag: pull, pick: choose, undoPress: () => choose(state.image), moveMark: pull,
      seen: () => map.setEllipses(ellipses()), // dots keep their size in pixels
      key: ({ key, shiftKey }) => {
        const move = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
        if (key === 'Enter') choose(state.image);
        if (!move) return key === 'Enter';
        const units = map.unit(), step = shiftKey ? 20 : 4;
        pull(state.mu[0] + move[0] * step * units[0], state.mu[1] + move[1] * step * units[1]);
        return true;
      },
    };
  }

  /** A cloud that leaves the map takes the map along. */
  function keepInSight() {
    if (!map.width) return;
    const { left, right, bottom, top } = map.sight(), [rx, ry] = state.sigma.map((sigma) => WITHIN_2D * sigma);
    const isIn = state.mu[0] - rx > left && state.mu[0] + rx < right && state.mu[1] - ry > bottom && state.mu[1] + ry < top;
    const isLarge = 2 * rx > SMALL_SHARE * (right - left) || 2 * ry > SMALL_SHARE * (top - bottom);
    if (isIn && isLarge) return;
    if (isIn && map.zoom.scale >= ZOOM) return;
    const { x, y } = map.extent, wanted = Math.min((x[1] - x[0]) / (ROOM * rx), (y[1] - y[0]) / (ROOM * ry));
    map.zoom = { scale: Math.min(ZOOM, Math.max(0.5, wanted)), x: state.mu[0], y: state.mu[1] };
    map.draw();
  }

  function ellipses() {
    return [{ x: state.mu[0], y: state.mu[1], covariance: [state.sigma[0] ** 2, 0, state.sigma[1] ** 2] }, ...(map.width ? parts.dots() : [])];
  }

  /** The cloud of an image. */
  function choose(image) {
    state.image = image % images.n;
    for (const dim of [0, 1]) {
      state.mu[dim] = atlas.codes[2 * state.image + dim];
      state.sigma[dim] = Math.exp(atlas.logvar[2 * state.image + dim] / 2);
    }
    map.zoom = { scale: ZOOM, x: state.mu[0], y: state.mu[1] };
    map.set({ selectedClass: atlas.labels[state.image] });
    show();
  }

  function show() {
    const z = state.mu.map((mu, dim) => mu + state.sigma[dim] * state.eps[dim]);
    picker.show(state.image);
    for (const { show: follow } of sliders) follow();
    keepInSight();
    map.setEllipses(ellipses());
    map.setMarks(shows === 'draws' ? { image: [...state.mu], probe: z, nearest: [...state.mu] } : { image: [...state.mu] });
    parts.show(z);
  }

  // --- z = mu + sigma epsilon -------------------------------------------------------------------------------------

  function drawParts() {
    const formula = h('p', { class: 'formula' }), original = h('div'), decoded = pictureCanvas('VAE decoded image', { width: 28, height: 28 });
    const canvases = Array.from({ length: SHOWN }, (_, i) => pictureCanvas(`Draw ${i + 1}`, { width: 28, height: 28 }));
    const read = h('p', { class: 'about' });
    const again = h('button', { type: 'button', onclick: () => { state.seed++; show(); } }, 'Draw again');
    const showDraws = (z) => {
      const x = images.unit(state.image), label = images.labels[state.image];
      original.replaceChildren(copyTile('the image', x, `test image ${state.image}, a ${label}`));
      paint(decoded, atlas.decoder.decode(z), atlas.shape, 255);
      setText(formula, `z = mu + sigma · epsilon = (${state.mu.map((mu, dim) => `${mu.toFixed(2)} ${state.eps[dim] < 0 ? '−' : '+'} ${state.sigma[dim].toFixed(2)} · ${Math.abs(state.eps[dim]).toFixed(2)}`).join(', ')}) = (${z.map((value) => value.toFixed(2)).join(', ')})`);
      let same = 0;
      draws(state.seed, SHOWN, 2).forEach(({ eps }, i) => {
        const x_hat = atlas.decoder.decode(state.mu.map((mu, dim) => mu + state.sigma[dim] * eps[dim]));
        paint(canvases[i], x_hat, atlas.shape, 255);
        if (judge(x_hat).class === label) same++;
      });
      setText(read, `${same} of these ${SHOWN} are read as a ${label}.`);
    };
    /** The draws as small dots. */
    const dots = () => {
      const [ux, uy] = map.unit();
      return draws(state.seed, SHOWN, 2).map(({ eps }) => ({
        x: state.mu[0] + state.sigma[0] * eps[0], y: state.mu[1] + state.sigma[1] * eps[1], covariance: [(DOT_PX * ux) ** 2, 0, (DOT_PX * uy) ** 2],
      }));
    };
    return {
      dots, tools: [again], side: h('div', { class: 'cloud-side' }, original, h('figure', { class: 'tile' }, decoded, h('figcaption', {}, h('b', {}, 'decoded at z')))),
      below: h('div', {}, formula, telling(h('div', {}, h('h2', {}, 'Drawn from the cloud'), h('div', { class: 'strip ten' }, ...canvases), read))), show: showDraws,
    };
  }

  // --- reconstruction + KL ----------------------------------------------------------------------------------------

  function lossParts() {
    const chart = makeChart({ title: 'Loss', unit: 'in nats, if sigma were so many times wider', across: '×' }), numbers = h('p', { class: 'formula', role: 'status' });
    const original = h('div'), noise = draws(0, AVERAGED, 2).map(({ eps }) => eps);
    let waiting = 0, asked = 0;
    const recon = (factor) => noise.reduce((sum, eps) => sum + reconError(
      atlas.decoder.logits(state.mu.map((mu, dim) => mu + factor * state.sigma[dim] * eps[dim])), images.bytes(state.image)), 0) / AVERAGED;
    const kl = (factor) => state.mu.reduce((sum, mu, dim) => {
      const variance = (factor * state.sigma[dim]) ** 2;
      return sum + 0.5 * (mu ** 2 + variance - 1 - Math.log(variance));
    }, 0);
    /** The whole curve once the hand rests, a point at a time: it is 31 times the work. */
    const showCurve = async () => {
      const mine = ++asked, [copies, price, sum] = [[], [], []];
      let point = null;
      showPulls();
      for (let i = 0; i < FACTORS; i++) {
        const factor = LEAST_FACTOR + (i / (FACTORS - 1)) * (MOST_FACTOR - LEAST_FACTOR), values = [recon(factor), kl(factor)];
        point ??= values[0];
        copies.push([factor, values[0] - point]);
        price.push([factor, values[1]]);
        sum.push([factor, values[0] - point + values[1]]);
        await breathe();
        if (mine !== asked) return;
      }
      const best = sum.reduce((least, one) => (one[1] < least[1] ? one : least));
      chart.show([
        { name: 'reconstruction', legend: 'reconstruction, beyond that of a point', kind: '', dashed: true, points: copies },
        { name: 'KL', legend: 'KL', kind: '', dashed: false, points: price },
        { name: 'sum', legend: 'sum', kind: 'vae', dashed: false, points: sum },
      ]);
      setText(least, `With this mu the sum is least at ${best[0].toFixed(1)} times this sigma.`);
    };
    const least = h('p', { class: 'about' }), said = h('p', { class: 'about' });
    /** How each part pulls at the rim: its slope in nats for a change of sigma by the factor e. */
    const showPulls = () => {
      const inward = (recon(Math.exp(SLOPE_STEP)) - recon(Math.exp(-SLOPE_STEP))) / (2 * SLOPE_STEP);
      const outward = state.sigma.reduce((sum, sigma) => sum + 1 - sigma ** 2, 0);
      const px = LONGEST_PX / Math.max(Math.abs(inward), Math.abs(outward), 1e-9), rim = WITHIN_2D * state.sigma[0];
      const arrow = (name, side, nats, isIn) => ({ x: state.mu[0] + side * rim, y: state.mu[1], across: side * px * Math.abs(nats), up: 0, name, inward: nats > 0 === isIn });
      map.setArrows([arrow('reconstruction', 1, inward, true), arrow('KL', -1, outward, false)]);
      const pulls = (nats, text, other) => (Math.abs(nats) < 0.005 ? 'not at all' : `${Math.abs(nats).toFixed(2)} nats ${nats > 0 ? text : other}`);
      setText(said, `The arrows: how hard each part pulls at sigma. Reconstruction ${pulls(inward, 'inwards', 'outwards')}, KL ${pulls(outward, 'outwards', 'inwards')}.`);
    };
    const showLoss = () => {
      const [r, k] = [recon(1), kl(1)], x = images.unit(state.image);
      original.replaceChildren(copyTile('the image', x, `perfect copy ${crossEntropy(x, x).toFixed(0)} nats`), copyTile('a draw, decoded', atlas.decoder.decode(state.mu.map((mu, dim) => mu + state.sigma[dim] * noise[0][dim])), ''));
      setText(numbers, `reconstruction ${r.toFixed(1)} + KL ${k.toFixed(2)} = ${(r + k).toFixed(1)} nats`);
      clearTimeout(waiting);
      asked++; // a curve under way is of another cloud
      map.setArrows([]);
      waiting = setTimeout(showCurve, 120);
    };
    const put = (mu, sigma) => { [state.mu[0], state.mu[1]] = mu; [state.sigma[0], state.sigma[1]] = sigma; show(); };
    const extreme = (text, action) => h('button', { type: 'button', onclick: action }, text);
    return {
      dots: () => [],
      tools: [
        extreme('All KL: the standard Gaussian', () => put([0, 0], [1, 1])),
        extreme('All reconstruction: a point', () => { choose(state.image); put([...state.mu], [LEAST_SIGMA, LEAST_SIGMA]); }),
      ],
      side: h('div', { class: 'cloud-side' }, original), below: h('div', {}, numbers, said, chart.element, least), show: showLoss,
    };
  }

  function paintMap() {
    const dark = isDark(getComputedStyle(element).getPropertyValue('--paper').trim() || '#fff');
    map.set({ colours: classColours(dark), labels: atlas.labels, names: Array.from({ length: 10 }, (_, c) => String(c)), selectedClass: atlas.labels[state.image] });
    map.setMarks({ accent: getComputedStyle(element).getPropertyValue('--vae').trim() || '#1a67ab', pinned: true });
  }

  map.setView(view);
  choose(CLOUD_IMAGE);
  requestAnimationFrame(paintMap); // its colours are known once it stands in the page
  return { element, repaint: paintMap, destroy: () => map.destroy() };
}
