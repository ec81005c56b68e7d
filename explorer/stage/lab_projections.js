/** Projections: PCA and UMAP of the same images seen four ways, chosen points linked, and how far each picture can be trusted. */

import { choice, h, paint, pictureCanvas, setText } from './dom.js';
import { makeRun } from './lab_run.js';
import { classColours, isDark } from './palette.js';
import { makeScatter } from './scatter.js';

const SETS = [{ value: 'mnist', text: 'MNIST' }, { value: 'fashion-mnist', text: 'Fashion-MNIST' }];
const VIEWS = [{ value: 'umap', text: 'UMAP' }, { value: 'pca', text: 'PCA' }];
const TITLES = { pixels: 'Pixels', ae: 'AE codes', vae: 'VAE codes', control: 'Control: shuffled pixels' };
const SHOWN = 12;

export async function makeProjections(material) {
  const { query } = material;
  const state = { dataset: query.one('data', SETS.map(({ value }) => value)), view: query.one('view', ['umap', 'pca']), k: 1, m: 1, seed: 0, image: null, chosen: null, result: null, images: null, runs: 0 };
  const panels = Object.fromEntries(Object.keys(TITLES).map((space) => [space, makePanel(space)]));
  const set = choice('Data', SETS, state.dataset, (value) => { state.dataset = value; query.set({ data: value }); set.show(value); showShipped(); });
  const views = choice('View', VIEWS, state.view, (value) => { state.view = value; query.set({ view: value }); views.show(value); show(); });
  const switches = h('div', { class: 'picture-tools' }), legend = h('div', { class: 'legend' });
  const about = h('p', { class: 'about', role: 'status' }), strip = h('div', { class: 'lab-row chosen' });
  const table = h('table', { class: 'lab-figures' }), warnings = h('ul', { class: 'warnings' });
  const numbers = { neighbours: number('Neighbours', 2, 200, 1, 30), min_dist: number('min_dist', 0, 0.99, 0.01, 0.1), n: number('Images', 100, 2000, 100, 1000) };
  const run = makeRun({
    lab: 'projections', material, text: 'Compute',
    settings: () => ({ dataset: state.dataset, ...Object.fromEntries(Object.entries(numbers).map(([key, { input }]) => [key, input.valueAsNumber])), seed: 10 * ++state.runs }),
    onResult: use, onBack: showShipped,
  });
  const pick = (step) => h('button', { type: 'button', onclick: () => choose([((state.image ?? -1) + step + state.result.record.points) % state.result.record.points], true) }, step > 0 ? 'Next image' : 'Previous image');

  function number(name, low, high, step, value) {
    const input = h('input', { type: 'number', min: low, max: high, step, value });
    return { input, element: h('label', { class: 'number' }, h('span', {}, name), input) };
  }

  function makePanel(space) {
    const scatter = makeScatter({ name: TITLES[space], onChoose: choose, onHover: (index) => hover(index) });
    const words = h('p', { class: 'about' });
    return { scatter, words, element: h('figure', { class: `projection ${space}` }, h('figcaption', {}, h('b', {}, TITLES[space])), scatter.element, words) };
  }

  async function showShipped() {
    const wanted = state.dataset;
    try {
      const result = await material.result(`projections-${wanted}`);
      if (wanted === state.dataset) await use(result);
    } catch ({ message }) {
      setText(about, message);
    }
  }

  async function use(result) {
    const images = await material.held(result.record.dataset);
    Object.assign(state, { result, images, dataset: result.record.dataset, chosen: null, image: null });
    const { neighbours, min_dist, seeds } = result.record, usual = (some, value) => Math.max(0, some.indexOf(value));
    Object.assign(state, { k: usual(neighbours, 15), m: usual(min_dist, 0.1), seed: 0 });
    set.show(state.dataset);
    const one = (name, some, key, brief) => {
      const made = choice(name, some.map((value, i) => ({ value: i, text: String(value) })), state[key], (at) => { state[key] = at; made.show(at); show(); }, brief);
      return made.element;
    };
    switches.replaceChildren(one('Neighbours', neighbours, 'k', 'k'), one('min_dist', min_dist, 'm', 'dist'), one('Seed', seeds, 'seed', 'seed'));
    legend.replaceChildren(...images.classes.map((name, c) => h('button', { type: 'button', 'aria-label': `Class ${name}`, onclick: () => choose(byClass(c), false) }, h('i', { class: 'dot', 'data-class': c }), name)),
      h('button', { type: 'button', onclick: () => choose([], false) }, 'None'));
    repaint();
    show();
  }

  const byClass = (c) => [...state.result.arrays.labels.data.keys()].filter((i) => state.result.arrays.labels.data[i] === c);

  /** [N, 2] of the shown picture of a space. */
  function pointsOf(space) {
    const { record, arrays } = state.result, n = record.points, at = record.spaces.indexOf(space);
    if (state.view === 'pca') return arrays.pca.data.subarray(2 * n * at, 2 * n * (at + 1));
    const place = ((at * record.neighbours.length + state.k) * record.min_dist.length + state.m) * record.seeds.length + state.seed;
    return arrays.umap.data.subarray(2 * n * place, 2 * n * (place + 1));
  }

  /** The figures of the shown picture of a space. */
  function figuresOf(space) {
    const { pca, umap } = state.result.record;
    if (state.view === 'pca') return pca[space];
    const found = umap[space][state.k][state.m];
    return Object.fromEntries(Object.entries(found).map(([key, value]) => [key, Array.isArray(value) ? value[state.seed] : value]));
  }

  function show() {
    switches.hidden = state.view === 'pca';
    const { labels } = state.result.arrays;
    for (const [space, { scatter, words }] of Object.entries(panels)) {
      const figures = figuresOf(space);
      // A point of the control is no image, so it has no class.
      scatter.set({ points: pointsOf(space), classes: space === 'control' ? null : labels.data });
      setText(words, `trust ${figures.trust.toFixed(2)}, continuity ${figures.continuity.toFixed(2)}${space === 'control' ? ': there is nothing to find here' : ''}`);
    }
    showChosen();
    showTable();
  }

  function showTable() {
    const { record } = state.result, spaces = record.spaces, isUmap = state.view === 'umap';
    const row = (name, values, chance) => h('tr', {}, h('th', { scope: 'row' }, name), ...values.map((value) => h('td', {}, value === null || value === undefined ? '–' : value.toFixed(2))), h('td', { class: 'about' }, chance));
    const of = (key) => spaces.map((space) => figuresOf(space)[key]);
    table.replaceChildren(
      h('caption', {}, isUmap ? `UMAP: ${record.neighbours[state.k]} neighbours, min_dist ${record.min_dist[state.m]}, ${record.points.toLocaleString('en')} images` : `PCA, ${record.points.toLocaleString('en')} images`),
      h('tr', {}, ...['', ...spaces.map((space) => TITLES[space].split(':')[0]), 'by chance'].map((text) => h('th', { scope: 'col' }, text))),
      row('trustworthiness: neighbours seen are neighbours', of('trust'), '0.5'),
      row('continuity: neighbours are seen', of('continuity'), '0.5'),
      row('classes told by 10 neighbours, in the picture', of('accuracy'), record.chance.toFixed(2)),
      row('classes told by 10 neighbours, in the space', spaces.map((space) => record.space[space].accuracy), record.chance.toFixed(2)),
      row('distances between classes: rank correlation', of('centroids'), '0'),
      row('sizes of classes: rank correlation', of('spreads'), '0'),
      ...(isUmap ? [row('another seed: share of 10 neighbours kept', of('agreement'), record.agreement_by_chance.toFixed(2)), row('another seed: shape lost (0 is none)', of('disparity'), 'near 1')] : []));
    const control = figuresOf('control'), umap = (key, space) => record.umap[space][state.k][state.m][key], mean = (some) => some.reduce((a, b) => a + b, 0) / some.length;
    const told = (key) => ['pixels', 'ae', 'vae'].map((space) => umap(key, space)).filter((some) => !some.includes(null)).map((some) => mean(some).toFixed(2)).join(', ') || '–';
    warnings.replaceChildren(...[
      `Do not read sizes or densities off UMAP: their rank correlation with the real ones is ${told('spreads')} (pixels, AE, VAE).`,
      `Distances between its islands are kept in part only: ${told('centroids')}.`,
      'Its axes have no unit, and it cannot be run backwards: a place between two points is no image.',
      `It draws a picture of nothing, too: the control has a trust of ${control.trust.toFixed(2)}. Another seed tells: of the control’s neighbours ${umap('agreement', 'control').toFixed(2)} stay, of the pixels’ ${umap('agreement', 'pixels').toFixed(2)}.`,
    ].map((text) => h('li', {}, text)));
  }

  function choose(chosen, one) {
    state.chosen = chosen.length && !one ? new Set(chosen) : null;
    state.image = one ? chosen[0] ?? null : null;
    showChosen();
  }

  function hover(index) {
    for (const { scatter } of Object.values(panels)) scatter.set({ hovered: index });
    showChosen(index);
  }

  function showChosen(hovered = null) {
    const { labels } = state.result.arrays, classes = state.images.classes;
    for (const { scatter } of Object.values(panels)) scatter.set({ chosen: state.chosen, picked: state.image });
    const shown = hovered !== null ? [hovered] : state.chosen ? [...state.chosen].slice(0, SHOWN) : state.image !== null ? [state.image] : [];
    strip.replaceChildren(...shown.map((i) => {
      const canvas = pictureCanvas(`image ${i}, ${classes[labels.data[i]]}`, { width: 28, height: 28, className: 'sharp' });
      paint(canvas, state.images.unit(i), state.images.shape, 255);
      return canvas;
    }));
    setText(about, hovered !== null || state.image !== null ? `image ${shown[0]}: ${classes[labels.data[shown[0]]]}`
      : state.chosen ? `${state.chosen.size} chosen: ${mostly(state.chosen)}` : 'Press a point, or pull a box around some: they are marked in all four pictures.');
  }

  /** The classes of some points, most first. */
  function mostly(chosen) {
    const counts = new Map();
    for (const i of chosen) counts.set(state.result.arrays.labels.data[i], (counts.get(state.result.arrays.labels.data[i]) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1]).slice(0, 4).map(([c, count]) => `${count} ${state.images.classes[c]}`).join(', ');
  }

  function repaint() {
    const paper = getComputedStyle(element).getPropertyValue('--paper').trim() || '#fff', colours = classColours(isDark(paper));
    for (const { scatter } of Object.values(panels)) scatter.set({ colours });
    legend.querySelectorAll('[data-class]').forEach((dot) => { dot.style.background = colours[dot.dataset.class]; });
  }

  const element = h('div', { class: 'lab' },
    h('div', { class: 'picture-tools' }, set.element, views.element, switches),
    h('div', { class: 'picture-tools' }, legend, pick(-1), pick(1)),
    h('div', { class: 'projections' }, ...Object.values(panels).map((panel) => panel.element)),
    h('div', { class: 'chosen-place' }, about, strip),
    h('div', { class: 'lab-columns' }, h('div', { class: 'wide' }, table), h('div', {}, h('h2', {}, 'What UMAP may not be used for'), warnings)),
    h('h2', {}, 'Other settings'),
    h('div', { class: 'picture-tools' }, ...Object.values(numbers).map((one) => one.element)), run.element);
  await use(await material.result(`projections-${state.dataset}`));
  return { element, shown: () => { repaint(); show(); }, repaint, destroy: () => { run.destroy(); for (const { scatter } of Object.values(panels)) scatter.destroy(); } };
}
