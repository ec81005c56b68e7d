/** The classifier of a data set in plain JavaScript: an image -> the probability of each class. See explorer/classifier.py. */

import { chain, MAKERS } from './decoder.js';

/**
 * @param {Array<Record<string, any>>} layers  by kind: conv (a square kernel; stride 1 and padding 1 unless told), max_pool (2 by 2), relu, linear
 * @param {Record<string, import('./decoder.js').Tensor>} weights
 * @param {number[]} shape  of an image, [C, H, W]
 * @returns {{probabilities: (x: ArrayLike<number>) => Float64Array}} x: an image in [0, 1]
 */
export function makeClassifier(layers, weights, shape) {
  const { run } = chain(layers, weights, shape, CONV_MAKERS);
  return { probabilities: (x) => softmax(run(x)) };
}

/** The makers of decoder.js, and those of layers that look at images. */
export const CONV_MAKERS = { ...MAKERS, conv, max_pool: maxPool };

function softmax(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

function conv(layer, weights, [inputs, height, width]) {
  const { data: w, shape: [outputs, , side] } = weights[layer.weight];
  const bias = weights[layer.bias].data, stride = layer.stride ?? 1, rim = layer.padding ?? 1;
  const high = height + 2 * rim, wide = width + 2 * rim;
  const rows = Math.floor((high - side) / stride) + 1, columns = Math.floor((wide - side) / stride) + 1;
  const padded = new Float64Array(inputs * high * wide), out = new Float64Array(outputs * rows * columns);
  const geometry = { rows, columns, wide, stride, side }, add = side === 3 ? addKernel3 : addKernel;
  const step = (x) => {
    pad(x, inputs, height, width, rim, padded);
    for (let o = 0; o < outputs; o++) {
      const plane = out.subarray(o * rows * columns, (o + 1) * rows * columns).fill(bias[o]);
      for (let i = 0; i < inputs; i++) add(w, side * side * (o * inputs + i), padded, i * high * wide, geometry, plane);
    }
    return out;
  };
  return { shape: [outputs, rows, columns], step };
}

/** Each channel with a rim of zeros. */
function pad(x, channels, height, width, rim, padded) {
  for (let row = 0; row < channels * height; row++) {
    const to = (Math.floor(row / height) * (height + 2 * rim) + (row % height) + rim) * (width + 2 * rim) + rim;
    for (let column = 0; column < width; column++) padded[to + column] = x[row * width + column];
  }
}

/** Add one channel times its kernel to a plane of outputs, one weight after the other. */
function addKernel(w, k, padded, from, { rows, columns, wide, stride, side }, plane) {
  for (let tap = 0; tap < side * side; tap++) {
    const weight = w[k + tap], start = from + Math.floor(tap / side) * wide + (tap % side);
    for (let y = 0, at = 0; y < rows; y++) {
      for (let p = start + y * stride * wide, end = at + columns; at < end; p += stride, at++) plane[at] += weight * padded[p];
    }
  }
}

/** The same for 3 by 3, all nine at once: the classifier runs over whole maps, and the engine keeps nine in registers. */
function addKernel3(w, k, padded, from, { rows, columns, wide, stride }, plane) {
  const [a, b, c, d, e, f, g, h, i] = w.subarray(k, k + 9);
  for (let y = 0, at = 0; y < rows; y++) {
    for (let p = from + y * stride * wide, end = at + columns; at < end; p += stride, at++) {
      plane[at] += a * padded[p] + b * padded[p + 1] + c * padded[p + 2]
        + d * padded[p + wide] + e * padded[p + wide + 1] + f * padded[p + wide + 2]
        + g * padded[p + 2 * wide] + h * padded[p + 2 * wide + 1] + i * padded[p + 2 * wide + 2];
    }
  }
}

/** The largest of each two by two; an odd row or column at the end is dropped. */
function maxPool(_layer, _weights, [channels, height, width]) {
  const rows = height >> 1, columns = width >> 1;
  const out = new Float64Array(channels * rows * columns);
  const step = (x) => {
    for (let row = 0, at = 0; row < channels * rows; row++) {
      let p = (Math.floor(row / rows) * height + 2 * (row % rows)) * width;
      for (let column = 0; column < columns; column++, at++, p += 2) out[at] = Math.max(x[p], x[p + 1], x[p + width], x[p + width + 1]);
    }
    return out;
  };
  return { shape: [channels, rows, columns], step };
}
