/** What one model makes of an image or a row: where its code lies, what is decoded from it, and what that costs beside what is usual. */

import { reconError } from './decoder.js';
import { h, setText, short } from './dom.js';
import { codeOf, nearestCode, shareNearer } from './latent.js';
import { LatentMap } from './map.js';
import { classColours } from './palette.js';
import { makeView, percent } from './views.js';

const TITLES = { ae: 'Autoencoder', vae: 'Variational autoencoder' };
const HINT = 'Press a point to take what it stands for, Enter takes the nearest, plus and minus zoom.';
const SAMPLE = 200; // held-out items of a class that a usual figure is the median of

/**
 * @param {{kind: 'ae'|'vae', slices: ReturnType<import('./slices.js').makeSlices>, onPick: (index: number) => void}} options
 */
export function makeReply({ kind, slices, onPick }) {
  const name = kind.toUpperCase(), nothing = () => {};
  const title = h('h2', {}, TITLES[kind]), about = h('span', { class: 'about' });
  const place = h('div'), read = h('span'), mine = h('th', { scope: 'col' });
  const map = new LatentMap({ name: `${name} latent map`, hint: HINT, on: {
    hover: nothing, press: nothing, drag: nothing, undoPress: nothing, moveMark: nothing, seen: nothing, pick: onPick,
    key: ({ key }) => { if (key === 'Enter') onPick(state.nearest); return key === 'Enter'; },
  } });
  const usualHead = h('th', { scope: 'col' });
  const row = (text, hint) => {
    const [mine, usual] = [h('td'), h('td')], head = h('th', { scope: 'row' }, text);
    return { head, mine, usual, element: h('tr', { title: hint }, head, mine, usual) };
  };
  const rows = {
    error: row('error, nats', 'Binary cross-entropy, summed over all values'),
    mse: row('squared error', 'Mean over all values, which go from 0 to 1'),
    ...(kind === 'vae' ? { kl: row('KL, nats', 'What its cloud costs against N(0, I)') } : {}),
    far: row('to the nearest code', 'Usual: the median distance of a held-out code to its neighbour, all classes'),
  };
  const hole = h('p', { class: 'about' }), code = h('div', { class: 'code-values', role: 'group', 'aria-label': `${name} code` });
  const element = h('section', { class: `reply ${kind}`, 'aria-label': TITLES[kind] },
    h('header', {}, title, about),
    h('div', { class: 'reply-view' }, h('div', { class: 'map-place' }, map.element),
      h('figure', { class: 'tile' }, place, h('figcaption', {}, h('b', {}, 'reconstruction'), read))),
    h('table', { class: 'lab-figures' }, h('tr', {}, h('td'), mine, usualHead), ...Object.values(rows).map((one) => one.element)),
    hole, code);
  const state = { picture: null, atlas: null, encode: null, view: null, values: [], nearest: 0, label: null, usual: new Map() };

  /** encode: see encoder.js; classes: the names of the data set's classes. */
  function setModel(atlas, encode, classes) {
    const picture = atlas.items.large(`${name} reconstruction`);
    Object.assign(state, { picture, atlas, encode, classes, label: null, usual: new Map(), view: makeView(atlas, atlas.d > 2 ? 'pca' : 'raw', [0, 1]) });
    setText(about, `${atlas.model.name}${atlas.d > 2 ? `, ${atlas.d} dimensions in the plane of their first two principal components` : ''}`);
    map.setView(state.view);
    place.replaceChildren(picture.element);
    setText(mine, `your ${atlas.items.noun}`);
    setText(rows.mse.head, `squared error a ${atlas.items.one}`);
    state.values = Array.from({ length: atlas.d }, () => h('span'));
    code.replaceChildren(...state.values);
  }

  /**
   * @param {Float64Array} x  an item, [C, H, W] in [0, 1]
   * @returns {{x_hat: Float64Array, error: number}}
   */
  function show(x) {
    const { atlas, view } = state, made = reconstruct(x), { mu, logvar, x_hat } = made;
    state.picture.paint(x_hat, 255);
    state.picture.mark(x, 255);
    const { index, distance } = nearestCode(atlas, mu);
    state.nearest = index;
    map.setMarks({ probe: view.fromCode(mu), nearest: view.fromCode(codeOf(atlas, index)), pinned: true });
    if (logvar) {
      const [px, py] = view.fromCode(mu);
      map.setEllipses([{ x: px, y: py, covariance: view.covariance(logvar.map(Math.exp)) }]);
    }
    setText(rows.error.mine, made.error.toFixed(1));
    setText(rows.mse.mine, made.mse.toFixed(4));
    if (logvar) setText(rows.kl.mine, made.kl.toFixed(1));
    setText(rows.far.mine, short(distance));
    setText(rows.far.usual, short(atlas.distances[atlas.distances.length >> 1]));
    setText(hole, `Its code is farther from any other than ${percent(shareNearer(atlas, distance))} of held-out codes.${logvar ? ' The ellipse holds 95 % of q(z|x): zoom in where it is small.' : ''}`);
    state.values.forEach((place, i) => setText(place, `z${i + 1} ${signed(mu[i])}${logvar ? ` ± ${Math.exp(logvar[i] / 2).toFixed(2)}` : ''}`));
    return made;
  }

  function reconstruct(x) {
    const { mu, logvar } = state.encode(x), logits = state.atlas.decoder.logits(mu);
    const x_hat = logits.map((value) => 1 / (1 + Math.exp(-value)));
    const mse = x_hat.reduce((sum, value, i) => sum + (value - x[i]) ** 2, 0) / x.length;
    const kl = logvar ? mu.reduce((sum, value, i) => sum + 0.5 * (value ** 2 + Math.exp(logvar[i]) - 1 - logvar[i]), 0) : 0;
    return { mu, logvar, x_hat, error: reconError(logits, x.map((value) => 255 * value)), mse, kl };
  }

  /** reading: what the classifier reads in the reconstruction. label: the class whose usual figures stand beside. */
  function showReading(reading, label) {
    setText(read, reading);
    if (label === state.label) return;
    state.label = label;
    setText(usualHead, `usual for ${state.classes[label]}`);
    usualHead.title = `The median of ${SAMPLE} held-out ones of that class`;
    const { usual } = state;
    if (!usual.has(label)) usual.set(label, { errors: [], mses: [], kls: [], left: membersOf(label) });
    slices.stop(`usual ${kind}`);
    showUsual();
  }

  /** The hand rests: find out what is usual for the class that is shown, if that is not known yet. */
  function rest() {
    const found = state.usual.get(state.label);
    if (found?.left.length) slices.run(`usual ${kind}`, () => measureOne(found), showUsual);
  }

  function membersOf(label) {
    const { labels } = state.atlas, members = [];
    for (let i = 0; i < labels.length && members.length < SAMPLE; i++) if (labels[i] === label) members.push(i);
    return members;
  }

  function measureOne(found) {
    const { images, pixels } = state.atlas, index = found.left.pop();
    const { error, mse, kl } = reconstruct(Float64Array.from(images.subarray(index * pixels, (index + 1) * pixels), (byte) => byte / 255));
    found.errors.push(error);
    found.mses.push(mse);
    found.kls.push(kl);
    return found.left.length > 0;
  }

  function showUsual() {
    const { errors, mses, kls, left } = state.usual.get(state.label);
    const said = (values, digits) => (left.length ? '…' : median(values).toFixed(digits));
    setText(rows.error.usual, said(errors, 1));
    setText(rows.mse.usual, said(mses, 4));
    if (rows.kl) setText(rows.kl.usual, said(kls, 1));
  }

  function repaint(dark) {
    map.set({ colours: classColours(dark), labels: state.atlas.labels, names: state.classes });
    map.setMarks({ accent: getComputedStyle(title).color });
  }
  return { element, setModel, show, showReading, rest, repaint, destroy: () => map.destroy() };
}

function signed(value) {
  return value.toFixed(2).replace('-', '−');
}

function median(values) {
  const sorted = Float64Array.from(values).sort(), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
