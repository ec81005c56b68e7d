/**
 * What scenes claim, computed from the models they show: each claim gives one number, which makes one choice right, and
 * sentences with the number, its control, and how it was computed. tests/test_scenes.py computes the same in Python.
 */

import { loadPosterior } from './atlas.js';
import { centred, makeLinear, principal, projectionError } from './linear.js';
import { breathe } from './material.js';
import { draws } from './random.js';

export const SIZES = [1, 2, 8, 32];
export const TWELVE = 12;
export const CLOUD_IMAGE = 21; // of class 6; it decodes to its own class
export const LINEAR = { images: 500, steps: 300 };
const READ = 200, KEPT = 8, COPIED = 300, NEW = 500, DRAWN = 100, ENOUGH = 0.9;

/**
 * @param {any} scene
 * @param {any} material  see material.js
 * @param {(text: string) => void} tell  of the progress
 * @returns {Promise<{right: number, value: number, says: string[]}>}
 */
export async function answer(scene, material, tell) {
  const { value, says } = await CLAIMS[scene.claim](material, tell);
  const found = scene.bounds.findIndex((bound) => value < bound);
  return { right: found < 0 ? scene.bounds.length : found, value, says };
}

const CLAIMS = { readable, kept, linear, by_heart: byHeart, disorder, properties, cloud, shrink, compromise, honest };

/** The smallest code with which 9 copies in 10 are read as what they are. */
async function readable(material, tell) {
  const images = await material.images(), judge = await material.judge();
  const share = async (see) => {
    let right = 0;
    for (let i = 0; i < READ; i++) {
      if (judge(see(i)).class === images.labels[i]) right++;
      if (i % 20 === 0) await breathe();
    }
    return right / READ;
  };
  const shares = [];
  for (const d of SIZES) {
    tell(`Reading ${READ} copies with a code of ${d} …`);
    const model = await material.model(`mnist-ae-${d}`);
    shares.push(await share((i) => model.decode(model.encode(images.unit(i)))));
  }
  const originals = await share(images.unit);
  const value = SIZES[shares.findIndex((one) => one >= ENOUGH)] ?? Infinity;
  return {
    value,
    says: [
      `Of ${READ} test images our classifier reads: ${SIZES.map((d, i) => `${percent(shares[i])} of the copies with ${d}`).join(', ')}. Of the originals: ${percent(originals)}.`,
    ],
  };
}

/** Which of three ways to keep 8 numbers has the least squared error: 0 pixels, 1 PCA, 2 a deep encoder. */
async function kept(material) {
  const images = await material.images(), table = await material.file('pixels'), deep = await material.model(`mnist-ae-${KEPT}`);
  const ways = [
    (x) => fromPixels(table, KEPT, x),
    (x) => fromComponents(table, KEPT, x),
    (x) => deep.decode(deep.encode(x)),
    () => table.mean.data,
  ];
  const errors = [0, 0, 0, 0];
  for (let i = 0; i < COPIED; i++) {
    const x = images.unit(i);
    ways.forEach((way, k) => { errors[k] += squaredError(way(x), x) / COPIED; });
    if (i % 50 === 0) await breathe();
  }
  const [pixels, pca, encoder, mean] = errors.map((error) => error.toFixed(4));
  return {
    value: errors.indexOf(Math.min(...errors.slice(0, 3))),
    says: [
      `Squared error a pixel over ${COPIED} test images: ${KEPT} pixels ${pixels}, ${KEPT} sums ${pca}, ${KEPT} numbers of the encoder ${encoder}. The mean image for all: ${mean}.`,
      'The pixels are chosen, and the others guessed from them, as well as a linear rule can.',
    ],
  };
}

/** The image as the best linear guess from its k most telling pixels. */
export function fromPixels(table, k, x) {
  const mean = table.mean.data, pixels = table.pixels.data, guess = table[`guess_${k}`].data;
  return combined(mean, guess, Array.from({ length: k }, (_, i) => x[pixels[i]] - mean[pixels[i]]));
}

/** The image from its first k principal components. */
export function fromComponents(table, k, x) {
  const mean = table.mean.data, components = table.components.data, size = mean.length;
  const z = Array.from({ length: k }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < size; j++) sum += components[i * size + j] * (x[j] - mean[j]);
    return sum;
  });
  return combined(mean, components, z);
}

function combined(mean, rows, z) {
  const x_hat = Float64Array.from(mean);
  z.forEach((value, i) => {
    for (let j = 0; j < x_hat.length; j++) x_hat[j] += rows[i * x_hat.length + j] * value;
  });
  return x_hat;
}

/** The error of a linear AE after its training, as a multiple of PCA's on the same images. */
async function linear(material, tell) {
  const data = centred(await material.images(), LINEAR.images);
  tell('Computing PCA …');
  const pca = projectionError(data, await principal(data, breathe)), model = makeLinear(data, 0);
  let error = 0, first = 0;
  for (let step = 0; step < LINEAR.steps; step++) {
    error = model.step(step / LINEAR.steps);
    first ||= error;
    if (step % 10 === 0) {
      tell(`Training: step ${step} of ${LINEAR.steps} …`);
      await breathe();
    }
  }
  const deep = await material.model('mnist-ae-2');
  const images = await material.images();
  let bent = 0;
  for (let i = 0; i < LINEAR.images; i++) bent += squaredError(deep.decode(deep.encode(images.unit(i))), images.unit(i)) / LINEAR.images;
  return {
    value: error / pca,
    says: [
      `Squared error a pixel over ${LINEAR.images} images: the linear AE ${error.toFixed(5)} (it began at ${first.toFixed(5)}), PCA ${pca.toFixed(5)}. That is ${(error / pca).toFixed(4)} times PCA’s.`,
      `A deep AE with two numbers, trained on other images: ${bent.toFixed(5)}.`,
    ],
  };
}

/** How bad the copies of new images are: 0 a perfect copy, 1 the mean image for all. */
async function byHeart(material) {
  const { copies, others, perfect, mean } = await heartErrors(material), { blend, unsure, pairs } = await between(material);
  return {
    value: (others - perfect) / (mean - perfect),
    says: [
      `Its twelve images: ${copies.value.toFixed(1)} nats, of which ${copies.perfect.toFixed(1)} are the least there can be. ${NEW} others: ${others.toFixed(0)} nats; the mean image for all of them ${mean.toFixed(0)}, perfect copies ${perfect.toFixed(0)}.`,
      `Half-way between neighbours stands nothing new: a weighted sum of the two images explains ${percent(blend)} of it. In ${unsure} of ${pairs} cases the classifier is not sure what it is.`,
    ],
  };
}

/** Errors of the model that knows twelve images by heart, in nats an image. */
export function heartErrors(material) {
  return material.once('errors of the twelve', () => measureHeart(material));
}

async function measureHeart(material) {
  const images = await material.images(), model = await material.model('twelve'), { mean } = await material.file('pixels');
  const average = async (from, to, error) => {
    let sum = 0;
    for (let i = from; i < to; i++) {
      if (i % 10 === 0) await breathe();
      sum += error(i);
    }
    return sum / (to - from);
  };
  const copy = (i) => model.error(model.encode(images.unit(i)), images.bytes(i));
  const entropy = (i) => crossEntropy(images.unit(i), images.unit(i));
  return {
    copies: { value: await average(0, TWELVE, copy), perfect: await average(0, TWELVE, entropy) },
    others: await average(TWELVE, TWELVE + NEW, copy),
    perfect: await average(TWELVE, TWELVE + NEW, entropy),
    mean: await average(TWELVE, TWELVE + NEW, (i) => crossEntropy(images.unit(i), mean.data)),
  };
}

/** What stands half-way between neighbours on the line of the twelve: how much of it a weighted sum of both explains. */
async function between(material) {
  const images = await material.images(), model = await material.model('twelve'), judge = await material.judge();
  const places = Array.from({ length: TWELVE }, (_, i) => ({ x: images.unit(i), z: model.encode(images.unit(i))[0] })).sort((a, b) => a.z - b.z);
  let left = 0, all = 0, unsure = 0;
  for (let k = 0; k + 1 < TWELVE; k++) {
    const { x: a } = places[k], { x: b } = places[k + 1], drawn = model.decode([(places[k].z + places[k + 1].z) / 2]);
    const dot = (u, v) => u.reduce((sum, value, i) => sum + value * v[i], 0);
    const [aa, ab, bb, da, db] = [dot(a, a), dot(a, b), dot(b, b), dot(drawn, a), dot(drawn, b)], det = aa * bb - ab * ab;
    const [p, q] = [(da * bb - db * ab) / det, (db * aa - da * ab) / det];
    all += dot(drawn, drawn);
    left += dot(drawn, drawn) - p * da - q * db;
    if (judge(drawn).sure < ENOUGH) unsure++;
  }
  return { blend: 1 - left / all, unsure, pairs: TWELVE - 1 };
}

/** The share of an AE's samples from N(0, I) that pass for a digit. */
async function disorder({ figures }) {
  const passed = measured(figures, 'mnist-ae-16', 'accepted/prior'), recon = measured(figures, 'mnist-ae-16', 'recon/');
  return {
    value: passed.value,
    says: [
      `${percent(passed.value)} of 5,000 pass, with 16 dimensions: the classifier is as sure of them as of real images, and they are as near to one. Real images: ${percent(passed.ceiling)}. Noise: ${percent(passed.floor)}.`,
      `Its copies are fine: ${recon.value.toFixed(1)} nats (perfect ${recon.ceiling.toFixed(1)}, the mean image for all ${recon.floor.toFixed(1)}).`,
    ],
  };
}

/** The VAE's largest step on a straight path as a multiple of the AE's; 1 where their intervals meet. */
async function properties({ figures }) {
  const of = (name, key) => measured(figures, name, key);
  const [ae, vae] = ['mnist-ae-2', 'mnist-vae-2'].map((name) => of(name, 'path_step/'));
  const apart = ae.high < vae.low || vae.high < ae.low;
  const [passedAe, passedVae] = ['mnist-ae-2', 'mnist-vae-2'].map((name) => of(name, 'accepted/prior'));
  const [aeMore, vaeMore] = ['mnist-ae-16', 'mnist-vae-16'].map((name) => of(name, 'path_step/'));
  const [aeMany, vaeMany] = ['mnist-ae-16', 'mnist-vae-16'].map((name) => of(name, 'accepted/prior'));
  const points = ({ value, low, high }) => `${hundredth(value)} % (95 % interval ${hundredth(low)} to ${hundredth(high)})`;
  return {
    value: apart ? vae.value / ae.value : 1,
    says: [
      `Continuity, over many walks of 16 steps: the largest step takes ${points(vae)} more of the way than an even one in the VAE, ${points(ae)} in the AE. Real images that fade into one another: ${hundredth(ae.ceiling)} %; a single hard cut: ${hundredth(ae.floor)} %.`,
      `Completeness, from N(0, I): ${percent(passedVae.value)} of the VAE’s samples pass for a digit, ${percent(passedAe.value)} of the AE’s; real images ${percent(passedAe.ceiling)}. With 16 dimensions it is ${percent(vaeMany.value)} and ${percent(aeMany.value)}.`,
      `Continuity is not always the VAE’s: with 16 dimensions the AE’s walks are ${aeMore.value < vaeMore.value ? 'the evener ones' : 'no evener'} (${hundredth(aeMore.value)} against ${hundredth(vaeMore.value)} %).`,
    ],
  };
}

/** The share of draws from an image's own cloud that are read as its class. */
async function cloud(material) {
  const { mu, sigma, label, decode } = await posteriorOf(material, CLOUD_IMAGE), judge = await material.judge();
  const read = (factor) => draws(0, DRAWN, 2)
    .filter(({ eps }) => judge(decode(mu.map((value, i) => value + factor * sigma[i] * eps[i]))).class === label).length / DRAWN;
  const [own, wide] = [read(1), read(10)];
  return {
    value: own,
    says: [`${Math.round(DRAWN * own)} of ${DRAWN} are read as a ${label}. From a cloud ten times as wide: ${Math.round(DRAWN * wide)}.`],
  };
}

/** An image's cloud in the shipped VAE of two dimensions. */
export async function posteriorOf(material, image) {
  const atlas = await material.atlas('mnist-vae-2');
  await loadPosterior(atlas, document.baseURI);
  const at = (values) => Array.from(values.subarray(2 * image, 2 * image + 2));
  return {
    atlas, label: atlas.labels[image], mu: at(atlas.codes), sigma: at(atlas.logvar).map((value) => Math.exp(value / 2)),
    decode: (z) => atlas.decoder.decode(z),
  };
}

/** How small the clouds are against the spread of their means without KL, as a multiple of the same with it. */
async function shrink(material) {
  const relative = async (beta) => {
    const atlas = await material.atlas(`mnist-vae-2-beta${beta}-seed0`);
    await loadPosterior(atlas, document.baseURI);
    const shares = [0, 1].map((dim) => {
      const column = (values) => Array.from({ length: atlas.n }, (_, i) => values[2 * i + dim]);
      return Math.exp(median(column(atlas.logvar)) / 2) / spread(column(atlas.codes));
    });
    return (shares[0] + shares[1]) / 2;
  };
  const [free, held] = [await relative(0), await relative(1)];
  return {
    value: free / held,
    says: [
      `The median sigma is ${(100 * free).toPrecision(2)} % of the spread of all means without KL, ${(100 * held).toPrecision(2)} % with it (beta 1): ${(held / free).toFixed(0)} times smaller. What is left is an AE.`,
    ],
  };
}

/** The beta with the least Fréchet distance of samples from N(0, I), at 16 dimensions. */
async function compromise({ frontier }) {
  if (!frontier.length) throw new Error('The measured frontier is missing: get the project’s files again.');
  const best = frontier.reduce((least, one) => (one.frechet < least.frechet ? one : least));
  const ends = [frontier[0], frontier[frontier.length - 1]];
  return {
    value: best.beta,
    says: [
      `At beta ${best.beta}: a Fréchet distance of ${best.frechet.toFixed(0)}; ${ends.map(({ beta, frechet }) => `at ${beta} it is ${frechet.toFixed(0)}`).join(', ')} (means of three seeds).`,
      `The copies have another taste: reconstruction ${ends[0].recon.toFixed(1)} nats at beta ${ends[0].beta}, ${best.recon.toFixed(1)} at ${best.beta}, ${ends[1].recon.toFixed(1)} at ${ends[1].beta}.`,
    ],
  };
}

/** Which of the three ways to sample is nearest to real images: 0 AE from N(0, I), 1 AE from its mixture, 2 VAE from N(0, I). */
async function honest({ figures }) {
  const rows = [['mnist-ae-16', 'frechet/prior'], ['mnist-ae-16', 'frechet/mixture'], ['mnist-vae-16', 'frechet/prior']].map(([name, key]) => measured(figures, name, key));
  const helped = measured(figures, 'mnist-vae-16', 'frechet/mixture');
  const [prior, mixture, vae] = rows.map((one) => interval(one, 0));
  return {
    value: rows.map(({ value }) => value).indexOf(Math.min(...rows.map(({ value }) => value))),
    says: [
      `Fréchet distance to real images: AE from N(0, I) ${prior}, AE from its mixture ${mixture}, VAE from N(0, I) ${vae}. Other real images: ${rows[0].ceiling.toFixed(0)}; noise: ${rows[0].floor.toFixed(0)}.`,
      `The VAE from a mixture of its own: ${interval(helped, 0)}. What it buys is a space whose distribution is known beforehand, so that nothing has to be fitted; it pays with blurrier copies.`,
    ],
  };
}

// --- small things ---------------------------------------------------------------------------------------------------

function measured(figures, name, key) {
  const found = figures[name]?.[key];
  if (!found || found.value === null) throw new Error('A measured figure is missing: get the project’s files again.');
  return found;
}

function interval({ value, low, high }, digits) {
  return `${value.toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`;
}

export function squaredError(x_hat, x) {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x_hat[i] - x[i]) ** 2;
  return sum / x.length;
}

/** Nats; a pixel that is 0 or 1 and said to be so costs nothing. */
export function crossEntropy(x, x_hat) {
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    const p = Math.min(1 - 1e-12, Math.max(1e-12, x_hat[i]));
    sum -= x[i] * Math.log(p) + (1 - x[i]) * Math.log(1 - p);
  }
  return sum;
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function spread(values) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

/** A share in percent, to a tenth. */
function hundredth(share) {
  return (100 * share).toFixed(1);
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}
