/** What scenes are made of: held-out images, the shipped models, small models with both halves, the classifier. */

import { loadAtlas, part } from './atlas.js';
import { makeClassifier } from './classifier.js';
import { chain, reconError } from './decoder.js';

/**
 * @param {any} lessons  files: addresses by name; figures, frontier: measured; catalogue
 * @param {string|URL} base
 */
export function makeMaterial({ files, figures, frontier, catalogue }, base) {
  const kept = new Map();
  /** What make gives, made once; a failure is forgotten, so that it can be tried again. */
  const once = (key, make) => {
    if (!kept.has(key)) kept.set(key, make().catch((error) => { kept.delete(key); throw error; }));
    return kept.get(key);
  };
  const file = (name) => {
    if (!files[name]) throw new Error('A file of this scene is missing: get the project’s files again.');
    return part(files[name], base);
  };

  /** The atlas of a shipped model or one of the dial, its images too. */
  const atlas = (name) => once(`atlas ${name}`, async () => {
    const found = [...catalogue.models, ...catalogue.dial].find((model) => model.name === name);
    if (!found) throw new Error(`The model ${name} is missing: get the project’s files again.`);
    const made = await loadAtlas(found, base);
    await made.imagesHere;
    return made;
  });

  /** Both halves of a small model: activations of every layer, the code, the copy. */
  const model = (name) => once(`model ${name}`, async () => makeModel(await file(name)));

  /** Class and certainty of an image [784] in [0, 1]. */
  const judge = () => once('judge', async () => {
    const { url, layers } = catalogue.datasets.mnist.classifier;
    const { probabilities } = makeClassifier(layers, await part(url, base), [1, 28, 28]);
    return (x) => {
      const all = probabilities(x), most = Math.max(...all);
      return { class: all.indexOf(most), sure: most };
    };
  });

  /** 2,000 held-out images: unit(i) is [784] in [0, 1], bytes(i) 0 to 255; their labels. */
  const images = () => once('images', async () => {
    const { images: bytes, labels, n } = await atlas('mnist-ae-2-seed0');
    const of = (i) => bytes.subarray(784 * i, 784 * (i + 1));
    return { n, labels, bytes: of, unit: (i) => Float64Array.from(of(i), (byte) => byte / 255) };
  });
  return { once, file, atlas, model, judge, images, figures, frontier };
}

/** A dense encoder and decoder, from weights by torch's names. */
function makeModel(weights) {
  const half = (name) => Object.keys(weights)
    .map((key) => key.match(`^${name}\\.(\\d+)\\.weight$`)?.[1]).filter((index) => index !== undefined)
    .sort((a, b) => a - b)
    .map((index, i, all) => chain([
      { kind: 'linear', weight: `${name}.${index}.weight`, bias: `${name}.${index}.bias` },
      ...(i < all.length - 1 ? [{ kind: 'relu' }] : []),
    ], weights, []));
  const halves = { encoder: half('encoder'), decoder: half('decoder') };
  const through = (steps, x) => steps.map(({ run }) => { x = Float64Array.from(run(x)); return x; });
  const logits = (z) => through(halves.decoder, z).at(-1);
  return {
    /** What every layer says, encoder and decoder; the last one as pixels in [0, 1]. */
    layers(x) {
      const up = through(halves.encoder, x), down = through(halves.decoder, up.at(-1));
      return { encoder: up, decoder: [...down.slice(0, -1), down.at(-1).map(sigmoid)] };
    },
    encode: (x) => through(halves.encoder, x).at(-1),
    decode: (z) => logits(z).map(sigmoid),
    /** recon of an image (bytes) in nats. */
    error: (z, bytes) => reconError(logits(z), bytes),
  };
}

function sigmoid(value) {
  return 1 / (1 + Math.exp(-value));
}

/** Let the browser breathe: long computations ask for it now and then, and may say how far they are. */
export function breathe() {
  return new Promise((done) => setTimeout(done));
}
