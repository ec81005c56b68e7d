/** The nearest of up to 2,000 real items (fewer of large ones, for their memory), by pixels. Knows nothing of the page. */

const MOST = 2000, MOST_VALUES = 8e6, SAMPLED = 400, AT_ONCE = 200, STRIDE = 28;

/** @type {WeakMap<Uint8Array, ReturnType<typeof prepared>>} one for all models of a data set */
const kept = new WeakMap();

/**
 * @param {Uint8Array} images  bytes, one image after another
 * @param {number} pixels  of an image
 */
export function makeNearestImage(images, pixels) {
  if (!kept.has(images)) kept.set(images, prepared(images, pixels));
  return kept.get(images);
}

/**
 * The pixels that differ most between images come first, so that a far image is given up early; the search starts at the
 * image that was nearest last.
 */
function prepared(images, pixels) {
  const n = images.length / pixels, count = Math.min(MOST, n, Math.ceil(MOST_VALUES / pixels));
  const chosen = Int32Array.from({ length: count }, (_, k) => Math.floor((k * n) / count));
  const own = new Float32Array(count * pixels), x = new Float64Array(pixels);
  let order = null, packed = 0, last = 0, usual = NaN;
  const toOther = [];

  function* prepare() {
    order ??= byVariance(images, pixels, chosen);
    for (; packed < count; packed++) {
      for (let p = 0; p < pixels; p++) own[packed * pixels + p] = images[chosen[packed] * pixels + order[p]] / 255;
      if (packed % AT_ONCE === 0) yield;
    }
    while (toOther.length < Math.min(SAMPLED, count)) {
      const k = Math.floor((toOther.length * count) / Math.min(SAMPLED, count));
      x.set(own.subarray(k * pixels, (k + 1) * pixels));
      toOther.push(search(k));
      yield;
    }
    if (Number.isNaN(usual)) usual = toOther.sort((a, b) => a - b)[toOther.length >> 1];
  }

  /** The distance from x to the nearest image but one. */
  function search(but) {
    let best = last === but ? Infinity : farFrom(last, Infinity);
    for (let k = 0; k < count; k++) {
      if (k === but) continue;
      const far = farFrom(k, best);
      if (far < best) [best, last] = [far, k];
    }
    return Math.sqrt(best);
  }

  function farFrom(k, limit) {
    let sum = 0;
    const start = k * pixels;
    for (let p = 0; p < pixels && sum < limit;) {
      for (const end = Math.min(pixels, p + STRIDE); p < end; p++) sum += (own[start + p] - x[p]) ** 2;
    }
    return sum;
  }

  function distance(image) {
    for (let p = 0; p < pixels; p++) x[p] = image[order[p]];
    return search(-1);
  }
  /** The nearest images, nearest first: their numbers among all images, and how far they are. */
  function nearest(image, wanted) {
    for (let p = 0; p < pixels; p++) x[p] = image[order[p]];
    const found = [];
    for (let k = 0; k < count; k++) {
      const far = farFrom(k, found.length < wanted ? Infinity : found[wanted - 1].far);
      if (found.length === wanted && far >= found[wanted - 1].far) continue;
      if (found.length === wanted) found.pop();
      const at = found.findIndex((other) => far < other.far);
      found.splice(at < 0 ? found.length : at, 0, { index: chosen[k], far });
    }
    return found.map(({ index, far }) => ({ index, distance: Math.sqrt(far) }));
  }
  return { count, prepare, distance, nearest, usual: () => usual };
}

function byVariance(images, pixels, chosen) {
  const sums = new Float64Array(pixels), squares = new Float64Array(pixels);
  for (const i of chosen) {
    for (let p = 0; p < pixels; p++) {
      const value = images[i * pixels + p];
      sums[p] += value;
      squares[p] += value * value;
    }
  }
  const variance = squares.map((square, p) => square - sums[p] ** 2 / chosen.length);
  return Int32Array.from(variance.keys()).sort((a, b) => variance[b] - variance[a]);
}
