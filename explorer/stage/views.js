/** The three pictures of a code space: raw dimensions, PCA, UMAP. Each maps points of the plane to codes and back. */

import { codeOf, nearestCode, quantileOf, valueAt } from './latent.js';

/**
 * @typedef {Object} View
 * @property {Float32Array} x  where each code lies in the plane, across
 * @property {Float32Array} y  and up
 * @property {(x: number, y: number, base: Float64Array) => Float64Array} toCode  the code at a point; what the plane
 *     does not say is taken from base
 * @property {(z: ArrayLike<number>) => [number, number]} fromCode
 * @property {[string, string]} names  of the axes
 * @property {number|null} trust  trustworthiness of the picture, in [0, 1]; null if it was not measured
 * @property {number} [lanes]  of a strip: how many lanes, from below
 * @property {((variances: ArrayLike<number>) => [number, number, number])|null} covariance  in the plane, [xx, xy, yy], of
 *     a Gaussian whose dimensions are independent; null where the axes are no directions
 * @property {boolean} snaps  whether toCode can only give codes of images
 * @property {{of: (x: number, y: number) => [number, number], at: (u: number, v: number) => [number, number]}|null}
 *     quantiles  of a point's two coordinates, and the way back; null where they mean nothing
 */

/** @returns {View} */
export function makeView(atlas, kind, axes) {
  if (atlas.d === 1) return stripView(atlas);
  if (kind === 'umap' && !atlas.umap) return pcaView(atlas);
  return { raw: rawView, pca: pcaView, umap: umapView }[kind](atlas, axes);
}

/**
 * The same view with quantiles for coordinates: every twentieth of an axis holds a twentieth of the codes, so a grid of
 * equal squares is a grid of equal quantiles, and linked probes stand at the same place in both maps.
 * @param {View} view  one with quantiles
 * @returns {View}
 */
export function byQuantile(view) {
  const x = new Float32Array(view.x.length), y = new Float32Array(view.y.length);
  for (let i = 0; i < x.length; i++) [x[i], y[i]] = view.quantiles.of(view.x[i], view.y[i]);
  return {
    ...view,
    x,
    y,
    toCode: (u, v, base) => view.toCode(...view.quantiles.at(u, v), base),
    fromCode: (z) => view.quantiles.of(...view.fromCode(z)),
    names: view.names.map((name) => `${name}, by quantile`),
    covariance: null,
  };
}

function column(values, step, offset, n) {
  const out = new Float32Array(n);
  for (let i = 0; i < n; i++) out[i] = values[i * step + offset];
  return out;
}

function rawView(atlas, [across, up]) {
  return {
    x: column(atlas.codes, atlas.d, across, atlas.n),
    y: column(atlas.codes, atlas.d, up, atlas.n),
    toCode: (x, y, base) => {
      const z = Float64Array.from(base);
      z[across] = x;
      z[up] = y;
      return z;
    },
    fromCode: (z) => [z[across], z[up]],
    names: [`z${across + 1}`, `z${up + 1}`],
    covariance: (variances) => [variances[across], 0, variances[up]],
    trust: atlas.trust.raw?.[across * atlas.d + up] ?? null,
    snaps: false,
    quantiles: {
      of: (x, y) => [quantileOf(atlas, across, x), quantileOf(atlas, up, y)],
      at: (u, v) => [valueAt(atlas, across, u), valueAt(atlas, up, v)],
    },
  };
}

/** One dimension: the codes along a strip, one lane a class, so that they do not hide one another. */
function stripView(atlas) {
  const lanes = Math.max(...atlas.labels) + 1;
  const y = Float32Array.from(atlas.labels, (label, i) => (label + 0.12 + 0.76 * ((i * 0.618034) % 1)) / lanes);
  return {
    x: Float32Array.from(atlas.codes),
    y,
    toCode: (x) => Float64Array.of(x),
    fromCode: (z) => [z[0], 0.5],
    names: ['z1', 'one lane a class'],
    covariance: ([variance]) => [variance, 0, 0],
    trust: 1,
    snaps: false,
    lanes,
    quantiles: null,
  };
}

function pcaView(atlas) {
  const { d, pcaMean: mean, pcaComponents: components, pcaExplained: share } = atlas;
  const fromCode = (z) => {
    let x = 0, y = 0;
    for (let i = 0; i < d; i++) {
      x += (z[i] - mean[i]) * components[i];
      y += (z[i] - mean[i]) * components[d + i];
    }
    return [x, y];
  };
  const x = new Float32Array(atlas.n), y = new Float32Array(atlas.n);
  for (let i = 0; i < atlas.n; i++) [x[i], y[i]] = fromCode(atlas.codes.subarray(i * d, (i + 1) * d));
  const sorted = [Float32Array.from(x).sort(), Float32Array.from(y).sort()];
  const tables = { quantiles: { shape: [2, atlas.n], data: joined(...sorted) } };
  return {
    x,
    y,
    toCode: (px, py, base) => {
      const [bx, by] = fromCode(base);
      return Float64Array.from(base, (value, i) => value + (px - bx) * components[i] + (py - by) * components[d + i]);
    },
    fromCode,
    names: [`PC1 (${percent(share[0])} of variance)`, `PC2 (${percent(share[1])})`],
    covariance: (variances) => [[0, 0], [0, d], [d, d]].map(([a, b]) =>
      variances.reduce((sum, variance, i) => sum + components[a + i] * components[b + i] * variance, 0)),
    trust: atlas.trust.pca,
    snaps: false,
    quantiles: {
      of: (px, py) => [quantileOf(tables, 0, px), quantileOf(tables, 1, py)],
      at: (u, v) => [valueAt(tables, 0, u), valueAt(tables, 1, v)],
    },
  };
}

function joined(first, second) {
  const both = new Float32Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

function umapView(atlas) {
  const [x, y] = [column(atlas.umap, 2, 0, atlas.n), column(atlas.umap, 2, 1, atlas.n)];
  return {
    x,
    y,
    toCode: (px, py) => codeOf(atlas, nearestPoint(x, y, px, py)),
    fromCode: (z) => {
      const { index } = nearestCode(atlas, z);
      return [x[index], y[index]];
    },
    names: ['UMAP 1 (no unit)', 'UMAP 2 (no unit)'],
    covariance: null,
    trust: atlas.trust.umap,
    snaps: true,
    quantiles: null,
  };
}

function nearestPoint(x, y, px, py) {
  let index = 0, best = Infinity;
  for (let i = 0; i < x.length; i++) {
    const distance = (x[i] - px) ** 2 + (y[i] - py) ** 2;
    if (distance < best) {
      best = distance;
      index = i;
    }
  }
  return index;
}

export function percent(share) {
  return `${Math.round(share * 100)} %`;
}
