/** What beta trades, as two curves over the rate: the distortion, and how far samples are from real images. */

import { makeChart } from './chart.js';
import { h } from './dom.js';
import { telling } from './tiles.js';

const LEAST_BETA = 0.1; // below it the rate grows so far that the rest would be a corner

export async function makeTrade({ frontier }) {
  const shown = frontier.filter(({ beta }) => beta >= LEAST_BETA);
  const curve = (what) => [{ name: 'VAE', legend: 'VAE, mean of three seeds', kind: 'vae', dashed: false, points: shown.map((one) => [one.kl, one[what]]).reverse() }];
  const charts = [
    makeChart({ title: 'Reconstruction', unit: 'nats an image', across: 'KL' }),
    makeChart({ title: 'Fréchet distance', unit: 'of samples from N(0, I)', across: 'KL' }),
  ];
  ['recon', 'frechet'].forEach((what, i) => charts[i].show(curve(what)));
  const betas = shown.map(({ beta }) => beta);
  return {
    element: telling(h('div', {}, h('div', { class: 'two-charts' }, ...charts.map(({ element }) => element)),
      h('p', { class: 'about' }, `16 dimensions, from beta ${Math.max(...betas)} (left, where KL is 0) to ${Math.min(...betas)} (right); beta ${frontier[0].beta} lies far outside, at a KL of ${frontier[0].kl.toFixed(0)}. Where would you stop? In the app, the page Measure draws every figure against beta.`))),
  };
}
