/** An encoder in plain JavaScript: an image -> its code. Knows nothing of the page. */

import { CONV_MAKERS } from './classifier.js';
import { chain } from './decoder.js';

/**
 * @param {any} model  an entry of the catalogue with the layers of its encoder
 * @param {Record<string, import('./decoder.js').Tensor>} weights  of the whole model
 * @returns {(x: ArrayLike<number>) => {mu: Float64Array, logvar: Float64Array|null}} x: an image in [0, 1]. mu: the code,
 *     of a VAE the posterior's mean; logvar: null for an AE
 */
export function makeEncoder({ encoder, image_shape: shape, latent_dim: d, model }, weights) {
  const { run } = chain(encoder, weights, shape, CONV_MAKERS);
  return (x) => {
    const out = run(x);
    return { mu: out.slice(0, d), logvar: model === 'vae' ? out.slice(d) : null };
  };
}
