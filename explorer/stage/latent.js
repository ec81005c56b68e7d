/** Geometry of codes: quantiles and the link between two models, the nearest code, paths. Knows nothing of the page. */

/** Where v stands in an ascending table: index of the last entry <= v, or -1. */
function below(table, v, start, length) {
  let low = 0, high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (table[start + middle] <= v) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * The quantile of v among codes of one dimension, in [0, 1]. Beyond the outermost codes it goes on below 0 and above 1,
 * in units of the 0.1 %…99.9 % range, so that the way back is exact.
 */
export function quantileOf(atlas, dim, v) {
  const { data: table, shape: [, columns] } = atlas.quantiles;
  const start = dim * columns, last = columns - 1;
  const i = below(table, v, start, columns);
  if (i < 0) return (v - table[start]) / sliderSpan(atlas, dim);
  if (i >= last) return 1 + (v - table[start + last]) / sliderSpan(atlas, dim);
  const step = table[start + i + 1] - table[start + i];
  return (i + (v - table[start + i]) / step) / last;
}

/** The value at quantile u: the inverse of quantileOf. */
export function valueAt(atlas, dim, u) {
  const { data: table, shape: [, columns] } = atlas.quantiles;
  const start = dim * columns, last = columns - 1;
  if (u < 0) return table[start] + u * sliderSpan(atlas, dim);
  if (u >= 1) return table[start + last] + (u - 1) * sliderSpan(atlas, dim);
  const i = Math.floor(u * last);
  return table[start + i] + (u * last - i) * (table[start + i + 1] - table[start + i]);
}

/** A slider's range: the model's own 0.1 % and 99.9 % quantiles. */
export function sliderRange(atlas, dim) {
  return [valueAt(atlas, dim, 0.001), valueAt(atlas, dim, 0.999)];
}

function sliderSpan(atlas, dim) {
  const [low, high] = sliderRange(atlas, dim);
  return Math.max(high - low, 1e-9);
}

/**
 * The code in another model with the same quantiles. Dimensions are paired by activity: the most active with the most
 * active, and so on.
 */
export function link(from, to, z) {
  const linked = new Float64Array(z.length);
  for (let i = 0; i < z.length; i++) {
    linked[to.order[i]] = valueAt(to, to.order[i], quantileOf(from, from.order[i], z[from.order[i]]));
  }
  return linked;
}

/** The code with every dimension at one quantile (0.5 is the median). */
export function codeAtQuantile(atlas, u) {
  return Float64Array.from({ length: atlas.d }, (_, dim) => valueAt(atlas, dim, u));
}

/** The mean of all codes. */
export function meanCode(atlas) {
  const mean = new Float64Array(atlas.d);
  for (let i = 0; i < atlas.codes.length; i++) mean[i % atlas.d] += atlas.codes[i];
  return mean.map((sum) => sum / atlas.n);
}

/** The code of one image; of the last, should there be so few that the walk's usual second end is not there. */
export function codeOf(atlas, index) {
  const at = Math.min(index, atlas.n - 1);
  return Float64Array.from(atlas.codes.subarray(at * atlas.d, (at + 1) * atlas.d));
}

/** @returns {{index: number, distance: number}} the nearest code (Euclidean, in the model's own space) */
export function nearestCode(atlas, z) {
  const { codes, d } = atlas;
  let index = 0, best = Infinity;
  for (let i = 0, at = 0; i < atlas.n; i++, at += d) {
    let sum = 0;
    for (let j = 0; j < d && sum < best; j++) {
      const step = codes[at + j] - z[j];
      sum += step * step;
    }
    if (sum < best) {
      best = sum;
      index = i;
    }
  }
  return { index, distance: Math.sqrt(best) };
}

/** A place is a hole when it is farther from any code than this share of held-out images is from its neighbour. */
export const HOLE = 0.99;

/** Share of held-out images whose code is nearer to its neighbour than this distance, in [0, 1]. */
export function shareNearer(atlas, distance) {
  const table = atlas.distances;
  return Math.min(1, Math.max(0, below(table, distance, 0, table.length)) / (table.length - 1));
}

export function norm(z) {
  return Math.sqrt(z.reduce((sum, value) => sum + value * value, 0));
}

/**
 * A point on the way from a (t = 0) to b (t = 1).
 * line: equal steps on the straight line. sphere: equal angles, with the norm going evenly from |a| to |b|.
 */
export function pathPoint(a, b, t, kind) {
  const line = a.map((value, i) => value + t * (b[i] - value));
  if (kind === 'line') return line;
  const normA = norm(a), normB = norm(b);
  const cosine = a.reduce((sum, value, i) => sum + value * b[i], 0) / (normA * normB);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  // Along one ray, through the origin, or from the origin itself there is no single arc: the line is the way.
  if (!(angle > 1e-6 && angle < Math.PI - 1e-6)) return line;
  const size = normA + t * (normB - normA);
  const [fromA, fromB] = [Math.sin((1 - t) * angle) / normA, Math.sin(t * angle) / normB].map((s) => (s * size) / Math.sin(angle));
  return a.map((value, i) => fromA * value + fromB * b[i]);
}
