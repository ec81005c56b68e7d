/** Fetch an atlas and give its arrays their names. Parts are fetched once and kept, by address. */

import { makeDecoder } from './decoder.js';
import { makeItems } from './items.js';
import { makeRemoteDecoder } from './remote.js';
import { readSafetensors } from './safetensors.js';

const GZIP = [0x1f, 0x8b, 0x08];

const TRIES = 2;
const AGAIN_MS = 500;
/** @type {Map<string, Promise<any>>} */
const fetched = new Map();
/** @type {Map<string, any>} */
const ready = new Map();

/** The tensors of one file. A failed fetch is forgotten, so that it can be tried again. */
export function part(url, base) {
  if (!fetched.has(url)) {
    const pending = fetchPart(new URL(url, base)).catch((error) => {
      fetched.delete(url);
      throw error;
    });
    fetched.set(url, pending);
  }
  return fetched.get(url);
}

/** The tensors of a file. The error of a failed fetch is a sentence for the screen. */
export async function fetchPart(address) {
  for (let tries = 1; ; tries++) {
    const response = await fetch(address).catch(() => null);
    if (response && !response.ok) throw new Error(await refusal(response));
    const content = response && await response.arrayBuffer().catch(() => null); // null: the answer was cut off
    if (content) return readSafetensors(await unpacked(content));
    if (tries === TRIES) throw new Error('The server does not answer. Check the connection, then choose again.');
    await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
  }
}

/** Our server's own words. Another one's answer is a page, which would be no sentence. */
async function refusal(response) {
  const isText = (response.headers.get('Content-Type') ?? 'text/plain').startsWith('text/plain');
  return (isText && (await response.text()).slice(0, 300)) || `The server answered ${response.status}.`;
}

/**
 * The app's server says in a header that a file comes packed, and the browser has unpacked it before we see it. A static
 * host says nothing, nor does a file within a page: there its first bytes tell. No file of tensors begins with them, for
 * they would announce a header of half a megabyte.
 * @param {ArrayBuffer} content
 */
async function unpacked(content) {
  if (!GZIP.every((byte, i) => new Uint8Array(content)[i] === byte)) return content;
  if (!globalThis.DecompressionStream) throw new Error('This browser is older than 2023 and cannot unpack the models: update it.');
  return new Response(new Blob([content]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
}

/** The atlas of a model if it is already here. */
export function atlasHere(model) {
  return ready.get(keyOf(model));
}

/** Another model may come under a name that is free again, and UMAP after the rest: the addresses hold hashes. */
function keyOf({ name, parts, decode }) {
  return [name, decode, ...Object.values(parts).map(({ url }) => url)].join();
}

/**
 * @param {any} model  an entry of the catalogue
 * @param {string|URL} base  what the catalogue's addresses are relative to
 * @returns {Promise<any>} the atlas: see explorer/atlas.py for what each array is. Its images may come later: imagesHere
 *     is a promise of them.
 */
export async function loadAtlas(model, base) {
  if (atlasHere(model)) return atlasHere(model);
  const images = part(model.parts.images.url, base);
  images.catch(() => {});
  const decoder = model.decode ? makeRemoteDecoder(model, base) : part(model.parts.decoder.url, base).then((weights) => makeDecoder(model.layers, weights));
  const atlas = makeAtlas(model, ...await Promise.all([part(model.parts.codes.url, base), decoder]));
  // The images are the largest part, and the probe can answer without them.
  atlas.imagesHere = images.then((tensors) => { atlas.images = tensors.images.data; });
  atlas.imagesHere.catch(() => {}); // told by whoever waits for them
  ready.set(keyOf(model), atlas);
  return atlas;
}

/** Have a VAE's posteriors fetched: atlas.logvar [N, d]. Few ask for them. */
export async function loadPosterior(atlas, base) {
  atlas.logvar ??= (await part(atlas.model.parts.posterior.url, base)).logvar.data;
}

/**
 * An atlas from its tensors. What a model in training does not have yet (UMAP, trust) is null.
 * @param {any} model  an entry of the catalogue
 * @param {Record<string, any>} codes
 * @param {import('./decoder.js').Decoder} decoder
 */
export function makeAtlas(model, codes, decoder) {
  return {
    model,
    n: model.n,
    d: model.latent_dim,
    shape: model.image_shape,
    items: makeItems(model),
    pixels: model.image_shape.reduce((a, b) => a * b),
    images: null,
    labels: codes.labels?.data ?? null,
    codes: codes.codes.data,
    umap: codes.umap?.data ?? null,
    quantiles: codes.quantiles,
    order: codes.order.data,
    pcaMean: codes.pca_mean.data,
    pcaComponents: codes.pca_components.data,
    pcaExplained: codes.pca_explained.data,
    distances: codes.distances.data,
    trust: { raw: codes.trust_raw?.data ?? null, pca: codes.trust_pca?.data[0] ?? null, umap: codes.trust_umap?.data[0] ?? null },
    mixture: { weights: codes.mixture_weights.data, means: codes.mixture_means.data, cholesky: codes.mixture_cholesky.data },
    decoder,
  };
}

/** The pixels of one held-out image, bytes [C, H, W]; null until they are here. */
export function imageOf(atlas, index) {
  return atlas.images && atlas.images.subarray(index * atlas.pixels, (index + 1) * atlas.pixels);
}
