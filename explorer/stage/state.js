/**
 * The state of the stage as one flat record, read from and written to the page's address.
 *
 * data, d, view, left, right, link, behind, layer, ellipses, walk: names. class: a class's number or null. seed: of the samples.
 * axes: two places in the order of activity, from 0. image: number of the image looked at. a, b: ends of the walk,
 * {image} or {codes: [left, right]}. z: the pinned code of the left model, null when the probe follows the pointer;
 * zr: that of the right model where it is not the one that the link gives.
 */

export const CHOICES = {
  view: [{ value: 'raw', text: 'raw z' }, { value: 'pca', text: 'PCA' }, { value: 'umap', text: 'UMAP' }],
  link: [{ value: 'quantile', text: 'linked by quantile' }, { value: 'free', text: 'free' }],
  behind: [{ value: 'nothing', text: 'nothing' }, { value: 'grid', text: 'decoded grid' }],
  layer: [
    { value: 'none', text: 'none' }, { value: 'holes', text: 'holes' }, { value: 'stretch', text: 'stretch' },
    { value: 'uncertainty', text: 'class uncertainty' }, { value: 'distance', text: 'distance to data' },
  ],
  ellipses: [{ value: 'off', text: 'off' }, { value: 'on', text: 'on' }],
  walk: [{ value: 'line', text: 'straight' }, { value: 'sphere', text: 'spherical' }],
};

/** What holds codes. They mean nothing in another model: there the probe and the walk start anew. */
export const FRESH = { z: null, zr: null, a: { image: 0 }, b: { image: 1 } };

/** The catalogue with what each model's values mean beside the model, since pictures are made by it. */
export function withFeatures(catalogue) {
  const models = catalogue.models.map((model) => ({ ...model, features: catalogue.datasets[model.dataset]?.features ?? [] }));
  return { ...catalogue, models };
}

/** Models of one data set and number of dimensions. */
export function modelsFor(catalogue, data, d) {
  return catalogue.models.filter((model) => model.dataset === data && model.latent_dim === d);
}

/** The numbers of dimensions a data set has models for. */
export function dimensionsOf(catalogue, data) {
  const all = catalogue.models.filter((model) => model.dataset === data).map((model) => model.latent_dim);
  return [...new Set(all)].sort((a, b) => a - b);
}

/**
 * The models of the beta dial for a data set and number of dimensions, by beta, and the AE beside them; without an AE,
 * which is what they are to be compared with, there is no dial.
 */
export function dialFor(catalogue, data, d) {
  const here = catalogue.dial.filter((model) => model.dataset === data && model.latent_dim === d);
  const ae = here.find((model) => model.model === 'ae') ?? null;
  return { ae, vaes: ae ? here.filter((model) => model.model === 'vae') : [] };
}

/** The model the dial stands at, or null when it is off. */
export function onDial(catalogue, { data, d, right }) {
  return dialFor(catalogue, data, d).vaes.find((model) => model.name === right) ?? null;
}

/** What the stage shows with the dial at the beta nearest to this one, or null where there is no dial. */
export function dialPair(catalogue, data, d, beta) {
  const { ae, vaes } = dialFor(catalogue, data, d);
  if (!vaes.length) return null;
  const far = (model) => Math.abs(model.beta - beta);
  return { left: ae.name, right: vaes.reduce((best, model) => (far(model) < far(best) ? model : best)).name };
}

/** What stands left and right for other data or dimensions: the same kinds of models as now, or the dial at its beta. */
export function pairFor(catalogue, state, data, d) {
  const now = onDial(catalogue, state);
  const turned = now && dialPair(catalogue, data, d, now.beta);
  if (turned) return turned;
  const pair = defaultPair(catalogue, data, d), here = modelsFor(catalogue, data, d);
  const kindOf = (name) => [...catalogue.models, ...catalogue.dial].find((model) => model.name === name).model;
  for (const side of ['left', 'right']) pair[side] = here.find((model) => model.model === kindOf(state[side]))?.name ?? pair[side];
  return pair;
}

/** The data sets there are models for. */
export function dataSetsOf(catalogue) {
  return [...new Set(catalogue.models.map((model) => model.dataset))];
}

/** What the stage shows for a data set and dimensions unless told otherwise: the AE left, the VAE right; in a file, its pair. */
export function defaultPair(catalogue, data, d) {
  if (catalogue.start) return { ...catalogue.start.pair };
  const models = modelsFor(catalogue, data, d);
  const of = (kind) => models.find((model) => model.model === kind) ?? models[0];
  return { left: of('ae').name, right: of('vae').name };
}

export function defaults(catalogue) {
  const [data] = dataSetsOf(catalogue);
  const [d] = dimensionsOf(catalogue, data);
  return {
    data, d, ...defaultPair(catalogue, data, d), view: 'raw', link: 'quantile', behind: 'nothing', layer: 'none', ellipses: 'off',
    walk: 'line', class: null, seed: 0, axes: [0, 1], image: 0, ...FRESH,
  };
}

/**
 * The state an address asks for. What names nothing is left at its default, with a sentence about it. An address that
 * asks for nothing gives what a file is to start with.
 * @returns {{state: Record<string, any>, problems: string[]}}
 */
export function readState(search, catalogue) {
  const query = new URLSearchParams(search || catalogue.start?.query);
  const state = defaults(catalogue);
  const problems = [];
  const take = (key, read, right) => {
    const text = query.get(key);
    if (text === null) return;
    const value = read(text);
    if (value === undefined) problems.push(`Unknown ${key} in the address: “${text.slice(0, 40)}”. Right would be: ${right}.`);
    else state[key] = value;
  };
  const oneOf = (values) => (text) => values.find((value) => String(value) === text);
  const takeOneOf = (key, values) => take(key, oneOf(values), values.join(', '));

  takeOneOf('data', dataSetsOf(catalogue));
  state.d = dimensionsOf(catalogue, state.data)[0];
  takeOneOf('d', dimensionsOf(catalogue, state.data));
  Object.assign(state, defaultPair(catalogue, state.data, state.d));
  const models = modelsFor(catalogue, state.data, state.d), dial = dialFor(catalogue, state.data, state.d);
  const choices = { left: dial.vaes.length ? [...models, dial.ae] : models, right: [...models, ...dial.vaes] };
  for (const key of ['left', 'right']) takeOneOf(key, choices[key].map((model) => model.name));
  for (const key of Object.keys(CHOICES)) takeOneOf(key, CHOICES[key].map((choice) => choice.value));
  if (state.layer !== 'none') state.behind = 'nothing'; // one place, one picture

  const n = Math.min(...[...models, ...catalogue.dial].filter(({ name }) => name === state.left || name === state.right).map((model) => model.n));
  const classes = catalogue.datasets[state.data].classes;
  const whole = (limit, start = 0) => (text) => (/^\d+$/.test(text) && Number(text) >= start && Number(text) < limit ? Number(text) : undefined);
  const code = (text) => parseCode(text, state.d);
  take('class', whole(classes.length), `0 to ${classes.length - 1}`);
  take('seed', whole(2 ** 32), 'a whole number from 0 to 4294967295');
  take('image', whole(n), `0 to ${n - 1}`);
  take('z', code, `${state.d} finite numbers with commas`);
  take('zr', code, `${state.d} finite numbers with commas`);
  take('axes', (text) => parseAxes(text, state.d), `two different numbers from 1 to ${state.d}, such as 1,2`);
  for (const key of ['a', 'b']) take(key, (text) => parseEnd(text, n, state.d), `i and an image's number from 0 to ${n - 1}, or two codes`);
  return { state, problems };
}

/** The address's query for a state: only what differs from the defaults, beside what is not ours. */
export function writeState(search, state, catalogue) {
  const query = new URLSearchParams(search);
  const plain = { ...defaults(catalogue), ...defaultPair(catalogue, state.data, state.d) };
  plain.d = dimensionsOf(catalogue, state.data)[0];
  for (const key of Object.keys(plain)) {
    const text = asText(state[key], key);
    if (text === asText(plain[key], key)) query.delete(key);
    else query.set(key, text);
  }
  if (catalogue.start && query.toString() === '') query.set('data', state.data); // an empty one would ask for the start
  return query.toString().replaceAll('%2C', ',').replaceAll('%3B', ';');
}

function asText(value, key) {
  if (value === null) return '';
  if (key === 'axes') return value.map((place) => place + 1).join(',');
  if (key === 'z' || key === 'zr') return codeText(value);
  if (key === 'a' || key === 'b') return 'image' in value ? `i${value.image}` : value.codes.map(codeText).join(';');
  return String(value);
}

/** Seven digits hold a float32. */
function codeText(z) {
  return Array.from(z, (value) => Number(value.toPrecision(7))).join(',');
}

function parseCode(text, d) {
  const values = text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part)));
  const sound = values.length === d && values.every((value) => Number.isFinite(value) && Math.abs(value) <= 1e6);
  return sound ? Float64Array.from(values) : undefined;
}

function parseAxes(text, d) {
  const places = text.split(',').map((part) => (/^\d+$/.test(part) ? Number(part) - 1 : -1));
  const sound = places.length === 2 && places[0] !== places[1] && places.every((place) => place >= 0 && place < d);
  return sound ? places : undefined;
}

function parseEnd(text, n, d) {
  if (/^i\d+$/.test(text)) return Number(text.slice(1)) < n ? { image: Number(text.slice(1)) } : undefined;
  const codes = text.split(';').map((part) => parseCode(part, d));
  return codes.length === 2 && !codes.includes(undefined) ? { codes } : undefined;
}
