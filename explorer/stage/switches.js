/** The switches over the maps, the legend, and the bridge between the maps. They show the state and say what was chosen. */

import { choice, h, setText } from './dom.js';
import { CHOICES, dataSetsOf, dialFor, dimensionsOf, onDial } from './state.js';

/** More classes than this share hues, and their names a place that scrolls. */
const MANY = 20;

/**
 * @param {any} catalogue
 * @param {{data: (name: string) => void, d: (d: number) => void, view: (name: string) => void,
 *          behind: (name: string) => void, layer: (name: string) => void, ellipses: (name: string) => void, dial: () => void}} on
 */
export function makeSwitches(catalogue, on) {
  const titles = dataSetsOf(catalogue).map((value) => ({ value, text: catalogue.datasets[value].title }));
  const fixed = {
    data: choice('Data', titles, null, on.data),
    view: choice('View', CHOICES.view, null, on.view),
    behind: choice('Behind the points', CHOICES.behind, null, on.behind, 'behind'),
    layer: choice('Layer', CHOICES.layer, null, on.layer, 'layer'),
  };
  const ellipses = h('button', { type: 'button', class: 'toggle', title: 'Where 95 % of the VAE’s q(z|x) lies' }, 'Ellipses');
  ellipses.addEventListener('click', () => on.ellipses(ellipses.getAttribute('aria-pressed') === 'true' ? 'off' : 'on'));
  const dial = h('button', { type: 'button', class: 'toggle', onclick: on.dial }, 'Beta dial');
  const place = h('span', { class: 'dims' });
  let shownDims = '', dims = null;
  const element = h('div', { class: 'switches' }, fixed.data.element, place, fixed.view.element, fixed.behind.element, fixed.layer.element, ellipses,
    catalogue.dial.length ? dial : null);

  function show(state) {
    for (const [key, one] of Object.entries(fixed)) one.show(state[key]);
    const dataset = catalogue.datasets[state.data];
    fixed.layer.bar('uncertainty', dataset.classifier ? null : noJudge(dataset));
    ellipses.setAttribute('aria-pressed', String(state.ellipses === 'on'));
    dial.disabled = !dialFor(catalogue, state.data, state.d).vaes.length;
    dial.title = dial.disabled ? `There are no models for a dial of ${dataset.title} at ${state.d} dimensions.` : 'Turn beta and see what it does to the VAE';
    dial.setAttribute('aria-pressed', String(onDial(catalogue, state) !== null));
    const all = dimensionsOf(catalogue, state.data);
    if (shownDims !== String(all)) {
      dims = choice('Latent dimensions', all.map((d) => ({ value: d, text: String(d) })), state.d, (d) => on.d(Number(d)), 'dims');
      place.replaceChildren(dims.element);
      shownDims = String(all);
    }
    dims.show(state.d);
  }
  return { element, show };
}

/** Why a data set has no layer of class uncertainty. */
export function noJudge({ title }) {
  return `There is no classifier for ${title} here, so nothing can be said about its classes.`;
}

/** What stands between the maps: how the two probes are tied, and whether they are pinned. */
export function makeBridge({ onLink, onPin }) {
  const button = (label, text, action) => h('button', { type: 'button', class: 'round', 'aria-label': label, title: label, onclick: action }, text);
  const link = button('Link the two probes', '⇄', onLink), pin = button('Pin the probe', '⚲', onPin);
  const linkText = h('span'), pinText = h('span');

  function show({ linked, pinned }) {
    link.setAttribute('aria-pressed', String(linked));
    pin.setAttribute('aria-pressed', String(pinned));
    setText(linkText, linked ? 'linked by quantile' : 'free');
    setText(pinText, pinned ? 'pinned: press to free' : 'follows the pointer');
  }
  return { element: h('div', { class: 'bridge' }, link, linkText, pin, pinText), show };
}

/** One legend for both maps: a press on a class fades the others. */
export function makeLegend({ onClass }) {
  const element = h('div', { class: 'legend', role: 'group', 'aria-label': 'Classes' });
  let names = '', chosen = null;

  function show(classes, colours, newChosen) {
    chosen = newChosen;
    element.classList.toggle('many', classes.length > MANY);
    if (names !== String(classes)) element.replaceChildren(...classes.map((name, c) => makeButton(name, c)));
    names = String(classes);
    [...element.children].forEach((button, c) => {
      button.firstChild.style.background = colours[c % colours.length];
      button.setAttribute('aria-pressed', String(chosen === c));
      button.classList.toggle('faded', chosen !== null && chosen !== c);
    });
  }

  function makeButton(name, c) {
    const press = () => onClass(chosen === c ? null : c);
    return h('button', { type: 'button', 'aria-label': `Class ${name}`, title: name, onclick: press }, h('span', { class: 'dot' }), h('span', { class: 'class-name', dir: 'auto' }, name));
  }
  return { element, show };
}
