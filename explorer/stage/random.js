/** Random numbers that are the same for the same seed, here and in the exported file. Knows nothing of the page. */

/** mulberry32: a generator of uniforms in [0, 1) with 32 bits of state. */
export function uniforms(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Standard normals by Box and Muller's method, from a generator of uniforms. */
export function normals(next) {
  return () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}

/**
 * The random numbers of a row of samples: every model and distribution on the stage uses the same ones.
 * @returns {Array<{eps: Float64Array, part: number}>} eps ~ N(0, I) and part ~ uniform, which picks a mixture's part
 */
export function draws(seed, count, d) {
  const next = uniforms(seed);
  const normal = normals(next);
  return Array.from({ length: count }, () => ({ eps: Float64Array.from({ length: d }, normal), part: next() }));
}

/** A code from the Gaussian mixture fitted to a model's codes: the part's mean + its Cholesky factor times eps. */
export function fromMixture(atlas, { eps, part }) {
  const { weights, means, cholesky } = atlas.mixture;
  const d = eps.length;
  let k = 0;
  for (let sum = weights[0]; k < weights.length - 1 && part >= sum; sum += weights[k]) k++;
  return eps.map((_, i) => {
    let value = means[k * d + i];
    for (let j = 0; j <= i; j++) value += cholesky[(k * d + i) * d + j] * eps[j];
    return value;
  });
}
