/** What the words on the stage mean, for whoever opens it. */

import { h } from './dom.js';

const WORDS = [
  ['code, z', 'The few numbers into which an encoder turns an image. Each number is a latent dimension: z1, z2, …'],
  ['nats', 'A unit of information, like bits (1 nat is 1.44 bits). The error of an image is the sum of its pixels’ binary cross-entropies; less is better. Grey pixels cost something even in a perfect copy.'],
  ['KL', 'How far the VAE’s clouds of codes are, on average, from the prior N(0, I), in nats. It is what the VAE pays for order.'],
  ['N(0, I)', 'The standard normal distribution: every dimension independent, mean 0, spread 1. A VAE is trained so that its codes follow it; an AE knows nothing of it.'],
  ['mixture', 'Ten Gaussians, fitted to a model’s codes after training.'],
  ['linked by quantile', 'The two models use different scales. The other probe goes where as many of its own codes lie below it, dimension by dimension.'],
  ['hole', 'A place farther from any code than 99 % of real images are from their neighbours. The usual distance is that of the median image.'],
  ['stretch', 'How far the decoded image moves for a step in the map. Where it is much, two near codes are two different images.'],
  ['class uncertainty', 'How far our small classifier is from being sure what the decoded image is. It can be sure about garbage too.'],
  ['ellipse', 'A VAE’s encoder gives each image a Gaussian of codes, q(z|x). Its 95 % region in the plane shown is an ellipse.'],
  ['trustworthiness', 'Whether points that look like neighbours in the picture are neighbours in all dimensions. 1 is perfect, about 0.5 is chance.'],
  ['spherical path', 'A walk that keeps its distance from the origin; a straight one cuts through the middle, where few codes of many dimensions lie.'],
];

const KEYS = 'Keys on a map: arrows move the probe (Shift: further), Enter looks at the nearest image, a and b set the ends of the walk, + − 0 zoom, Esc frees the probe. Shift + drag pans.';

export function makeWords() {
  return h('details', { class: 'words' }, h('summary', {}, 'What the words mean, and the keys'),
    h('dl', {}, ...WORDS.flatMap(([word, meaning]) => [h('dt', {}, word), h('dd', {}, meaning)])), h('p', {}, KEYS));
}
