/**
 * The row of a table to change: a slider a feature, in the feature's unit, starting at a held-out row. Of many features the
 * rows are chosen and their values listed.
 */

import { h } from './dom.js';
import { valueText } from './numbers.js';
import { labelledSlider } from './tiles.js';

const MOST_SLIDERS = 32, STEPS = 255, CHANGED = 'changed';

/**
 * @param {{onChange: (x: Float64Array) => void, onPick: (index: number) => void}} options  x: the row, [F] in [0, 1]
 */
export function makeRow({ onChange, onPick }) {
  const changed = h('option', { value: CHANGED, disabled: true, hidden: true }, 'changed by hand');
  const select = h('select', { 'aria-label': 'Held-out row', onchange: () => onPick(Number(select.value)) });
  const values = h('div', { class: 'row-values', role: 'group', 'aria-label': 'Features' }), about = h('p', { class: 'about' });
  const element = h('div', { class: 'row-tools' }, h('label', { class: 'row-choice' }, h('span', {}, 'Held-out row'), select), values, about);
  let sliders = [], list = null, x = new Float64Array(0);

  /** Another table: its rows to choose from, its features to change. @param {any} atlas @param {string[]} classes */
  function setModel({ items, labels, n, model: { features } }, classes) {
    x = new Float64Array(features.length);
    select.replaceChildren(changed, ...Array.from({ length: n }, (_, i) => h('option', { value: i }, `${i}, ${classes[labels[i]]}`)));
    sliders = features.length <= MOST_SLIDERS ? features.map(sliderOf) : [];
    list = sliders.length ? null : items.large('Your row');
    values.replaceChildren(...(list ? [list.element] : sliders.map((slider) => slider.element)));
    about.textContent = list ? `Rows of more than ${MOST_SLIDERS} features are chosen: choose one above, or press a point of a map.` : 'Each slider goes from its feature’s lowest to its highest value, in 256 steps.';
  }

  function sliderOf(feature, i) {
    const slider = labelledSlider({
      name: feature.name, low: 0, high: STEPS, step: 1, text: (value) => valueText(feature, value / STEPS),
      onInput: (value) => {
        x[i] = value / STEPS;
        slider.show(value);
        mark(null);
        onChange(x);
      },
    });
    slider.element.title = feature.name;
    slider.element.firstChild.dir = 'auto';
    slider.element.querySelector('input').disabled = !(feature.high > feature.low); // one value is all there is
    return slider;
  }

  /** @param {ArrayLike<number>} row  [F] in [0, 1] @param {number|null} index  of the held-out row that it is, if it is one */
  function show(row, index) {
    x.set(row);
    sliders.forEach((slider, i) => slider.show(Math.round(STEPS * x[i])));
    list?.paint(x, STEPS);
    mark(index);
  }

  function mark(index) {
    changed.hidden = index !== null;
    select.value = index === null ? CHANGED : String(index);
  }
  return { element, setModel, show };
}
