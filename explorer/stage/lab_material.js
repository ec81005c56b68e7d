/** What the labs are made of: shipped results, images, models and their runs on the server. */

import { fetchPart, loadAtlas, part } from './atlas.js';

/**
 * @param {any} given  shipped, full, images: see explorer/labs/show.py; catalogue
 * @param {string|URL} base
 * @param {any} query  what is kept in the address
 */
export function makeLabMaterial({ shipped, full, images, catalogue }, base, query) {
  /** {record, arrays} of a lab's shipped result. */
  const result = async (name) => {
    if (!shipped[name]) throw new Error('The files of this lab are missing: get the project’s files again.');
    return { record: shipped[name].record, arrays: await part(shipped[name].url, base), shipped: true };
  };

  /** The atlas of a shipped model, its 2,000 held-out images too. */
  const atlas = async (name) => {
    const found = catalogue.models.find((model) => model.name === name);
    if (!found) throw new Error(`The model ${name} is missing: get the project’s files again.`);
    const made = await loadAtlas(found, base);
    await made.imagesHere;
    return made;
  };

  /** The 2,000 held-out images of a data set. */
  const held = async (dataset) => {
    const { images: bytes, labels, n, pixels, shape } = await atlas(`${dataset}-ae-2`);
    return makeImages(bytes, labels, n, pixels, shape, catalogue.datasets[dataset]);
  };

  /** The 10,000 embedded training images, or all of a full set that the server has. */
  const training = async (dataset, { all = false } = {}) => {
    const tensors = await part(all ? `images/${dataset}-full` : images[dataset], base), [n, ...shape] = tensors.images.shape;
    return makeImages(tensors.images.data, tensors.labels.data, n, shape.reduce((a, b) => a * b), shape, catalogue.datasets[dataset]);
  };
  return { result, atlas, held, training, full, catalogue, base, query, fetchArrays: (path) => fetchPart(new URL(path, base)) };
}

/** unit(i) is an image in [0, 1], bytes(i) 0 to 255. */
function makeImages(data, labels, n, pixels, shape, set) {
  const bytes = (i) => data.subarray(pixels * i, pixels * (i + 1));
  return { n, labels, shape, pixels, data, title: set.title, classes: set.classes, bytes, unit: (i) => Float64Array.from(bytes(i), (byte) => byte / 255) };
}
