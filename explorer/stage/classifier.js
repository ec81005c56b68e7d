/** The classifier of a data set in plain JavaScript: an image -> the probability of each class. See explorer/classifier.py. */

import { chain, MAKERS } from './decoder.js';

/**
 * @param {Array<Record<string, any>>} layers  by kind: conv (3 by 3, padded by 1, perhaps a stride), max_pool (2 by 2), relu, linear
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
  const { data: w, shape: [outputs] } = weights[layer.weight];
  const bias = weights[layer.bias].data, stride = layer.stride ?? 1;
  const rows = Math.ceil(height / stride), columns = Math.ceil(width / stride);
  const padded = new Float64Array(inputs * (height + 2) * (width + 2)), out = new Float64Array(outputs * rows * columns);
  const step = (x) => {
    pad(x, inputs, height, width, padded);
    for (let o = 0; o < outputs; o++) {
      const plane = out.subarray(o * rows * columns, (o + 1) * rows * columns).fill(bias[o]);
      for (let i = 0; i < inputs; i++) addKernel(w, 9 * (o * inputs + i), padded, i * (height + 2) * (width + 2), { rows, columns, wide: width + 2, stride }, plane);
    }
    return out;
  };
  return { shape: [outputs, rows, columns], step };
}

/** Each channel with a rim of zeros. */
function pad(x, channels, height, width, padded) {
  for (let row = 0; row < channels * height; row++) {
    const to = (Math.floor(row / height) * (height + 2) + (row % height) + 1) * (width + 2) + 1;
    for (let column = 0; column < width; column++) padded[to + column] = x[row * width + column];
  }
}

/** Add one channel times its kernel to a plane of outputs. */
function addKernel(w, k, padded, from, { rows, columns, wide, stride }, plane) {
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
