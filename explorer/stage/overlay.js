/**
 * The layer behind the points of both maps: computed for the part in sight whenever that is another one, kept for the
 * way back, and explained by one legend.
 */

import { part } from './atlas.js';
import { makeClassifier } from './classifier.js';
import { h, setText } from './dom.js';
import { rgbOf } from './draw.js';
import { cellsOf, makeField, paintField, runsBeyond } from './field.js';
import { LAYERS } from './layers.js';
import { CHOICES } from './state.js';
import { noJudge } from './switches.js';

const REST_MS = 120, PAINT_MS = 100, KEPT = 24;
const BEYOND = 0.5; // the opacity of what is beyond the scale; the legend's in stage.css

/**
 * @param {{slices: any, base: string|URL, datasets: Record<string, any>, panels: Record<string, any>}} options
 */
export function makeOverlay({ slices, base, datasets, panels }) {
  const legend = makeLayerLegend();
  /** @type {Map<string, ReturnType<typeof makeField>>} fields by what they show, the newest last */
  const kept = new Map();
  const judges = new Map();
  let state = null, timer = 0;

  /** Show what the switches say now. */
  function show(newState) {
    state = newState;
    for (const { map } of Object.values(panels)) if (map.state.field) map.set({ field: null }); // of another layer or plane
    start();
  }

  /** The maps or the codes behind them move: wait until they rest. */
  function soon() {
    if (!state || state.layer === 'none') return;
    clearTimeout(timer);
    timer = setTimeout(start, REST_MS);
  }

  function start() {
    clearTimeout(timer);
    const why = whyNot();
    legend.show(state.layer, panels.left.atlas, why);
    for (const panel of Object.values(panels)) why === null ? startOn(panel) : stopOn(panel);
  }

  /** Why there is no layer, in a sentence; "" while there is none to be had and none is wanted. */
  function whyNot() {
    const { layer, data } = state;
    if (layer === 'none') return '';
    if (panels.left.view.snaps || panels.right.view.snaps) return 'UMAP cannot be run backwards, so there is no layer in this view.';
    const served = Object.values(panels).find(({ atlas }) => atlas.model.decode);
    if (served && LAYERS[layer].decodes) return `This layer decodes thousands of places, and ${served.atlas.model.name} is decoded on the server: holes can be had.`;
    if (LAYERS[layer].judged && !datasets[data].classifier) return noJudge(datasets[data]);
    return missing();
  }

  /** What the layer waits for. Once it is here, start anew. */
  function missing() {
    const { layer, data } = state;
    const waits = [];
    if (LAYERS[layer].judged && !judges.has(data)) waits.push(fetchJudge(data));
    if (LAYERS[layer].pictured) waits.push(...Object.values(panels).filter(({ atlas }) => !atlas.images).map(({ atlas }) => atlas.imagesHere));
    if (!waits.length) return null;
    Promise.all(waits).then(start, ({ message }) => legend.show(layer, panels.left.atlas, message));
    return 'Loading …';
  }

  async function fetchJudge(data) {
    const { url, layers } = datasets[data].classifier;
    const weights = await part(url, base);
    judges.set(data, makeClassifier(layers, weights, panels.left.atlas.shape));
  }

  function stopOn({ side, map }) {
    slices.stop(`layer ${side}`);
    if (map.state.field) map.set({ field: null });
    delete map.element.dataset.layer;
  }

  function startOn(panel) {
    const { side, map } = panel;
    if (!map.width) return; // it tells when it has a size
    const field = fieldOf(panel);
    if (field.covers()) put(panel, field);
    if (field.isDone()) slices.stop(`layer ${side}`);
    else {
      tell(map, 'computing');
      slices.run(`layer ${side}`, field.step, () => {
        const isTime = field.isDone() || performance.now() - (field.painted ?? 0) > PAINT_MS;
        if (field.covers() && isTime) put(panel, field);
      });
    }
  }

  /** The field of what a map shows: one that was kept, or a new one. */
  function fieldOf({ side, atlas, view, base: code, map }) {
    const sight = map.sight(), cells = cellsOf(sight, Boolean(view.lanes));
    // The plane by rounded numbers: from whichever code it is reached, and from the address, it is the same to the last pixel.
    const plane = view.toCode(0, 0, code).map((value) => Math.round(value * 1e4) / 1e4);
    const place = [sight.left, sight.right, sight.bottom, sight.top].map((value) => value.toPrecision(7));
    const key = [side, atlas.model.name, state.layer, ...view.names, ...cells, ...place, ...plane].join();
    const field = kept.get(key) ?? makeField(sight, cells, LAYERS[state.layer].work(atlas, view, plane, judges.get(state.data)));
    kept.delete(key);
    kept.set(key, field);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return field;
  }

  function put({ map }, field) {
    const rgb = rgbOf(getComputedStyle(map.element).getPropertyValue('--layer').trim());
    paintField(field, { rgb, most: LAYERS[state.layer].most, beyond: BEYOND });
    field.runs = runsBeyond(field);
    map.state.field = field;
    map.drawBehind();
    field.painted = performance.now();
    tell(map, field.isDone() ? 'done' : 'computing');
  }

  function tell(map, how) {
    map.element.dataset.layer = `${state.layer} ${how}`;
  }

  /** The theme may be another one. */
  function repaint() {
    for (const panel of Object.values(panels)) if (panel.map?.state.field) put(panel, panel.map.state.field);
  }
  return { element: legend.element, show, soon, repaint, stop: () => clearTimeout(timer) };
}

/** One scale for both maps: its name, a gradient with three values, and what it means. */
function makeLayerLegend() {
  const name = h('b'), scale = h('span', { class: 'scale' }), meaning = h('span', { class: 'about' });
  const labels = [0, 1, 2].map(() => h('span'));
  const beyond = h('span', { class: 'beyond' });
  scale.append(h('i', { 'aria-hidden': 'true' }), ...labels);
  const element = h('figure', { class: 'layer-legend', 'aria-label': 'Legend of the layer', role: 'figure', hidden: true }, name, scale, beyond, meaning);

  /** why: a sentence in place of the scale, or null. */
  function show(layer, atlas, why) {
    element.hidden = layer === 'none';
    if (layer === 'none') return;
    const about = LAYERS[layer];
    element.style.setProperty('--most', `${100 * about.most}%`);
    setText(name, CHOICES.layer.find(({ value }) => value === layer).text);
    scale.hidden = why !== null;
    labels.forEach((label, i) => setText(label, about.labels[i]));
    beyond.hidden = why !== null || !about.beyond;
    setText(beyond, about.beyond ?? '');
    setText(meaning, why ?? about.meaning(atlas));
  }
  return { element, show };
}
