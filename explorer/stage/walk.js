/** The walk from A to B: eleven frames for each model, a play button, and the norm along the way. */

import { inTurn } from './decoder.js';
import { choice, h, setText, short, strip, svgShape } from './dom.js';
import { norm, pathPoint } from './latent.js';
import { CHOICES } from './state.js';

const FRAMES = 11;
const SECONDS = 4;

/**
 * @param {{slices: any, onKind: (kind: string) => void, onEnd: (key: 'a'|'b', from: 'probe'|'image') => void,
 *          onPlace: (codes: Float64Array[], t: number) => void}} options  onPlace: put the probes on these codes, left and
 *     right, which are at t of the way
 */
export function makeWalk({ slices, onKind, onEnd, onPlace }) {
  const rows = h('div', { class: 'rows' });
  const kinds = choice('Path', CHOICES.walk, 'line', onKind);
  const play = h('button', { type: 'button' }, '▶ Play');
  const norms = h('div', { class: 'norms', hidden: true });
  const ends = h('span', { class: 'ends' }, ...['a', 'b'].flatMap((key) => ['probe', 'image'].map((from) =>
    h('button', { type: 'button', onclick: () => onEnd(key, from) }, `${key.toUpperCase()} = the ${from}`))));
  const element = h('section', { class: 'block', 'aria-label': 'Walk from A to B' },
    h('header', {}, h('h2', {}, 'Walk from A to B'), kinds.element, play),
    rows, norms, h('p', { class: 'tools' }, ends, h('span', { class: 'about' }, 'or drag A and B on a map')));

  let models = [], ways = [], kind = 'line', cursor = 0, playing = 0, stands = null;
  const at = (side, t) => pathPoint(ways[side][0], ways[side][1], t, kind);
  const codesAt = (t) => [at(0, t), at(1, t)];

  /** Both models' rows; called when a model changes. */
  function showModels(newModels) {
    models = newModels.map((model) => ({ ...model, frames: makeFrames(model) }));
    rows.replaceChildren(...models.map(({ kind: name, atlas, frames }) =>
      h('div', { class: `row ${atlas.model.model}` }, h('span', { class: 'row-name' }, h('b', {}, name)),
        strip('eleven', frames.map((frame) => frame.element), (i) => place(i / (FRAMES - 1))))));
    showPlace();
  }

  /** New ends or another kind of path. ways: [[a, b] of the left model, [a, b] of the right]. */
  function showPath(newWays, newKind) {
    [ways, kind] = [newWays, newKind];
    kinds.show(kind);
    kinds.element.hidden = ways[0][0].length <= 2;
    const frames = Array.from({ length: FRAMES }, (_, i) => (cursor + i) % FRAMES);
    slices.run('walk', inTurn(frames.flatMap((frame) => models.map((model, side) => wantedFrame(model, side, frame)))));
    showNorms();
  }

  function wantedFrame({ atlas, frames }, side, frame) {
    const show = (x_hat) => {
      frames[frame].paint(x_hat, 255);
      cursor = (frame + 1) % FRAMES; // where to go on when the path moves before all are shown
    };
    return { decoder: atlas.decoder, z: at(side, frame / (FRAMES - 1)), show };
  }

  /** The norm along the path: a straight line cuts through the middle, where few codes of many dimensions lie. */
  function showNorms() {
    norms.hidden = ways[0][0].length <= 2;
    if (norms.hidden) return;
    norms.replaceChildren(...models.map(({ kind: name, atlas }, side) => normChart(name, atlas, (t) => norm(at(side, t)))));
  }

  function place(t) {
    stop();
    onPlace(codesAt(t), t);
  }

  /** Where the probes stand on the way, in [0, 1]; null when they are elsewhere. */
  function standAt(t) {
    if (t === stands) return;
    stands = t;
    showPlace();
  }

  function showPlace() {
    const here = stands === null ? -1 : Math.round(stands * (FRAMES - 1));
    for (const { frames } of models) frames.forEach((frame, i) => frame.element.parentElement.setAttribute('aria-current', String(i === here)));
  }

  function stop() {
    cancelAnimationFrame(playing);
    playing = 0;
    setText(play, '▶ Play');
  }

  play.addEventListener('click', () => {
    if (playing) return stop();
    const from = stands !== null && stands < 1 ? stands : 0, start = performance.now() - 1000 * SECONDS * from;
    setText(play, '■ Stop');
    const frame = (now) => {
      const t = Math.round(1000 * Math.min(1, Math.max(0, (now - start) / 1000 / SECONDS))) / 1000;
      onPlace(codesAt(t), t);
      if (t < 1) playing = requestAnimationFrame(frame);
      else stop();
    };
    playing = requestAnimationFrame(frame);
  });

  return { element, showModels, showPath, standAt, codesAt, stop };
}

function makeFrames({ kind, atlas }) {
  return Array.from({ length: FRAMES }, (_, i) => atlas.items.small(`${kind} walk frame ${i + 1}`));
}

function normChart(name, atlas, normAt) {
  const values = Array.from({ length: 41 }, (_, i) => normAt(i / 40));
  const high = Math.max(...values) * 1.1 || 1;
  const points = values.map((value, i) => `${i},${(20 - (20 * value) / high).toFixed(2)}`).join(' ');
  const svg = svgShape(40, 20, 'polyline', { points });
  const text = `‖z‖ ${short(values[0])} → ${short(Math.min(...values))} (least) → ${short(values[40])}`;
  return h('div', { class: `norm ${atlas.model.model}` }, h('span', { class: 'row-name' }, h('b', {}, name), ` ${text}`), svg);
}
