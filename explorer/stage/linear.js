/** A linear autoencoder that trains here, and PCA of the same images. Knows nothing of the page. */

import { normals, uniforms } from './random.js';

const POWER_STEPS = 150;
const RATE = 0.01, KEEP_1 = 0.9, KEEP_2 = 0.999, TINY = 1e-8;
const FIRST = 0.05; // spread of the first weights

/** The first n images less their mean. @returns {{x: Float64Array, mean: Float64Array, n: number, size: number}} x: [n, size] */
export function centred(images, n) {
  const size = images.unit(0).length, x = new Float64Array(n * size), mean = new Float64Array(size);
  for (let i = 0; i < n; i++) x.set(images.unit(i), i * size);
  for (let at = 0; at < x.length; at++) mean[at % size] += x[at] / n;
  for (let at = 0; at < x.length; at++) x[at] -= mean[at % size];
  return { x, mean, n, size };
}

/**
 * The first two principal components, orthonormal rows [2, size], by orthogonal iteration.
 * @param {any} data  centred
 * @param {() => Promise<void>} rest  awaited now and then
 */
export async function principal({ x, n, size }, rest) {
  const normal = normals(uniforms(1));
  let rows = orthonormal([0, 1].map(() => Float64Array.from({ length: size }, normal)));
  for (let step = 0; step < POWER_STEPS; step++) {
    const next = rows.map(() => new Float64Array(size));
    for (let i = 0; i < n; i++) {
      const one = x.subarray(i * size, (i + 1) * size);
      rows.forEach((row, k) => add(next[k], one, dot(row, one)));
    }
    rows = orthonormal(next);
    if (step % 10 === 0) await rest();
  }
  return rows;
}

/** Mean squared error a pixel of images projected onto orthonormal rows. */
export function projectionError({ x, n, size }, rows) {
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const one = x.subarray(i * size, (i + 1) * size);
    sum += dot(one, one) - rows.reduce((found, row) => found + dot(row, one) ** 2, 0);
  }
  return sum / (n * size);
}

/**
 * x_hat = decoder^T (encoder x), two codes, from random weights; one step of Adam on all images.
 * @returns {{encoder: Float64Array[], decoder: Float64Array[], step: (share: number) => number}}  rows [2, size];
 *     step gives the mean squared error a pixel before it; share: how much of the training is done, for the rate's decay
 */
export function makeLinear({ x, n, size }, seed) {
  const normal = normals(uniforms(seed));
  const weights = Array.from({ length: 4 }, () => Float64Array.from({ length: size }, () => FIRST * normal()));
  const [encoder, decoder] = [weights.slice(0, 2), weights.slice(2)];
  const moments = weights.map(() => [new Float64Array(size), new Float64Array(size)]);
  const rest = new Float64Array(size);
  let count = 0;

  function step(share) {
    const gradients = weights.map(() => new Float64Array(size));
    let error = 0;
    for (let i = 0; i < n; i++) {
      const one = x.subarray(i * size, (i + 1) * size), z = encoder.map((row) => dot(row, one));
      for (let j = 0; j < size; j++) rest[j] = decoder[0][j] * z[0] + decoder[1][j] * z[1] - one[j];
      error += dot(rest, rest);
      decoder.forEach((row, k) => {
        add(gradients[2 + k], rest, (2 * z[k]) / n);
        add(gradients[k], one, (2 * dot(row, rest)) / n);
      });
    }
    count++;
    weights.forEach((row, k) => adam(row, gradients[k], moments[k], count, RATE * (1 - share)));
    return error / (n * size);
  }
  return { encoder, decoder, step };
}

function adam(row, gradient, [first, second], count, rate) {
  const scale = rate / (1 - KEEP_1 ** count), root = 1 - KEEP_2 ** count;
  for (let j = 0; j < row.length; j++) {
    first[j] = KEEP_1 * first[j] + (1 - KEEP_1) * gradient[j];
    second[j] = KEEP_2 * second[j] + (1 - KEEP_2) * gradient[j] ** 2;
    row[j] -= (scale * first[j]) / (Math.sqrt(second[j] / root) + TINY);
  }
}

/** The angles between two planes, degrees, the smaller first. @param {Float64Array[]} rows @param {Float64Array[]} basis  orthonormal */
export function principalAngles(rows, basis) {
  const [p, q] = orthonormal(rows.map((row) => Float64Array.from(row)));
  const [a, b, c, d] = [dot(p, basis[0]), dot(p, basis[1]), dot(q, basis[0]), dot(q, basis[1])];
  const sum = a * a + b * b + c * c + d * d, det = a * d - b * c;
  const gap = Math.sqrt(Math.max(0, sum * sum - 4 * det * det));
  return [(sum + gap) / 2, (sum - gap) / 2].map((squared) => degrees(Math.acos(Math.min(1, Math.sqrt(Math.max(0, squared))))));
}

/** The angle between two directions, 0 to 90 degrees. */
export function angleBetween(a, b) {
  return degrees(Math.acos(Math.min(1, Math.abs(dot(a, b)) / Math.sqrt(dot(a, a) * dot(b, b)))));
}

function degrees(radians) {
  return (180 * radians) / Math.PI;
}

function orthonormal([a, b]) {
  scale(a, 1 / Math.sqrt(dot(a, a)));
  add(b, a, -dot(a, b));
  scale(b, 1 / Math.sqrt(dot(b, b)));
  return [a, b];
}

function scale(a, factor) {
  for (let i = 0; i < a.length; i++) a[i] *= factor;
}

/** a += factor b */
function add(a, b, factor) {
  for (let i = 0; i < a.length; i++) a[i] += factor * b[i];
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
