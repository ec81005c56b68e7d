/** Binary codes as addresses. A code is bytes, eight bits each, the first bit highest, as numpy.packbits has it. */

const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length);

/**
 * In how many bits each code differs from the query.
 * @param {Uint8Array} query  [b / 8]
 * @param {Uint8Array} codes  [N, b / 8]
 */
export function hamming(query, codes) {
  const width = query.length, distances = new Uint8Array(codes.length / width);
  for (let i = 0, at = 0; i < distances.length; i++) {
    let sum = 0;
    for (let k = 0; k < width; k++) sum += ONES[codes[at++] ^ query[k]];
    distances[i] = sum;
  }
  return distances;
}

/** The bucket: indices of what lies within the radius, nearest first, of equal ones the lower index first. */
export function within(distances, radius) {
  const places = new Uint32Array(radius + 2);
  for (const distance of distances) if (distance <= radius) places[distance + 1]++;
  for (let k = 1; k < places.length; k++) places[k] += places[k - 1];
  const found = new Uint32Array(places[radius + 1]);
  distances.forEach((distance, i) => { if (distance <= radius) found[places[distance]++] = i; });
  return found;
}

/**
 * Exact search: the k nearest to x [f] by Euclidean distance among bytes data [N, f], nearest first, of equal ones the
 * lower index first.
 * @param {Uint8Array} x
 * @param {Uint8Array} data
 * @param {number} k
 * @param {Uint32Array|null} among  look at these alone; null: at all
 * @returns {number[]} indices
 */
export function nearest(x, data, k, among = null) {
  const size = x.length, n = among ? among.length : data.length / size, best = [];
  for (let j = 0; j < n; j++) {
    const i = among ? among[j] : j, from = size * i, last = best[k - 1];
    let square = 0;
    for (let p = 0; p < size; p++) {
      const apart = data[from + p] - x[p];
      square += apart * apart;
    }
    if (last && (square > last.square || (square === last.square && i > last.i))) continue;
    best.push({ i, square });
    best.sort((a, b) => a.square - b.square || a.i - b.i);
    best.length = Math.min(best.length, k);
  }
  return best.map(({ i }) => i);
}

/** How many of found have this label, and how many of all. */
export function countLabel(found, labels, label) {
  const right = found.reduce((sum, i) => sum + (labels[i] === label), 0), relevant = labels.reduce((sum, one) => sum + (one === label), 0);
  return { right, relevant };
}

/** One code as its bits, 0 and 1. */
export const bitsOf = (code) => Array.from(code, (byte) => byte.toString(2).padStart(8, '0')).join('');

export const inBits = (distance) => `${distance} ${distance === 1 ? 'bit' : 'bits'}`;
