/**
 * The beta dial: one slider through VAEs that differ in beta alone, in place of the right-hand model. Left stands an AE
 * of the same network, data, epochs and seed.
 */

import { loadAtlas } from './atlas.js';
import { h, setText } from './dom.js';
import { dialFor } from './state.js';

/**
 * @param {{catalogue: any, base: string|URL, onTurn: (model: any) => void}} options  onTurn: this model is wanted right
 */
export function makeDial({ catalogue, base, onTurn }) {
  const slider = h('input', { type: 'range', min: 0, step: 1, 'aria-label': 'Beta dial' });
  const ticks = h('span', { class: 'dial-ticks', 'aria-hidden': 'true' });
  const figures = h('output', { class: 'dial-figures' });
  const about = h('p', { class: 'about' });
  const element = h('section', { class: 'dial vae', 'aria-label': 'Beta dial', hidden: true },
    h('b', {}, 'β'), h('span', { class: 'dial-track' }, slider, ticks), figures, about);
  let vaes = [];

  slider.addEventListener('input', () => onTurn(vaes[slider.valueAsNumber]));

  /** Follow the state; the dial is in sight when the right-hand model is one of its own. */
  function show({ data, d, right }) {
    const here = dialFor(catalogue, data, d), at = here.vaes.findIndex(({ name }) => name === right);
    element.hidden = at < 0;
    if (at < 0) return;
    if (here.vaes[0] !== vaes[0]) fill(here, at);
    slider.value = String(at);
    const model = vaes[at], beta = `β = ${model.beta}`;
    slider.setAttribute('aria-valuetext', beta);
    [...ticks.children].forEach((tick, i) => tick.classList.toggle('here', i === at));
    setText(figures, `${beta}: reconstruction ${model.test_recon_sampled.toFixed(1)} + KL ${model.test_kl.toFixed(2)} nats`);
  }

  function fill(here, at) {
    vaes = here.vaes;
    slider.max = String(vaes.length - 1);
    ticks.replaceChildren(...vaes.map((model, i) => h('span', { onclick: () => onTurn(vaes[i]) }, String(model.beta))));
    const { hidden, latent_dim: d, epochs, seed } = vaes[0];
    setText(about, `Right: one VAE for each β, from 0 (an AE with noise in its code) to collapse. Left: the AE of the same size. ` +
      `All have layers of ${[...hidden, d].join('·')}, ${epochs} epochs and seed ${seed}. Reconstruction: here with z sampled; ` +
      `the AE’s is ${here.ae.test_recon.toFixed(1)}.`);
    fetchAll(at);
  }

  /** Have all of them here, the nearest first, so that the dial answers at once. */
  async function fetchAll(at) {
    const nearFirst = [...vaes.keys()].sort((a, b) => Math.abs(a - at) - Math.abs(b - at)).map((i) => vaes[i]);
    for (const model of nearFirst) await loadAtlas(model, base).catch(() => {}); // told when it is wanted
  }
  return { element, show };
}
