/**
 * A decoder that runs on the server. decode(z) gives what has come already, and else null: the wish is noted, many wishes
 * are sent together, one request at a time, the newest of each probe first. Knows nothing of the page.
 */

const MOST = 64; // codes of a request, as in explorer/foreign/limits.py
const MOST_VALUES = 400_000; // of an answer
const KEPT_VALUES = 4_000_000;
const TIMED = 9;
const NEAREST = 1e-7; // to 0 and 1, so that a logit is finite

/**
 * @param {any} model  an entry of the catalogue whose decode is the address to ask
 * @param {string|URL} base
 * @returns {any} a Decoder, and: soon, a promise of the answer that is awaited; listeners, told after each answer of its
 *     usual time, {ms}, or of why there was none, {problem}
 */
export function makeRemoteDecoder(model, base) {
  const shape = model.image_shape, size = shape.reduce((a, b) => a * b), latentDim = model.latent_dim;
  const most = Math.max(1, Math.min(MOST, Math.floor(MOST_VALUES / size)));
  const kept = Math.max(4 * MOST, Math.floor(KEPT_VALUES / size));
  /** @type {Map<string, Float32Array>} the newest last */
  const here = new Map();
  /** @type {Map<string, Float32Array>} */
  const wishes = new Map();
  /** @type {Map<object, {z: Float32Array, show: Function}>} */
  const probes = new Map();
  const times = [], listeners = new Set();
  let busy = false, answer = null;

  function decode(z) {
    const code = Float32Array.from(z), key = code.join();
    const x_hat = here.get(key);
    if (x_hat) {
      here.delete(key); // it is the newest again
      here.set(key, x_hat);
      return x_hat;
    }
    wishes.set(key, code);
    ask();
    return null;
  }

  function follow(owner, z, show) {
    const code = Float32Array.from(z), x_hat = here.get(code.join());
    probes.delete(owner);
    if (x_hat) return show(x_hat, true);
    probes.set(owner, { z: code, show });
    ask();
  }

  /** Send what is wished for, after what else is wished for in this turn of the page. */
  async function ask() {
    if (busy) return;
    busy = true;
    const mine = answer = waiting();
    await null;
    const asked = [...probes], codes = new Map(asked.map(([, { z }]) => [z.join(), z]));
    for (const [key, code] of wishes) {
      if (codes.size >= most) break;
      codes.set(key, code);
    }
    const start = performance.now();
    try {
      keep([...codes.keys()], await fetchItems([...codes.values()]));
      times.push(performance.now() - start);
      if (times.length > TIMED) times.shift();
      busy = false;
      tell({ ms: usual(times) });
      for (const [owner, probe] of asked) showProbe(owner, probe);
      mine.resolve();
    } catch (error) {
      busy = false;
      wishes.clear();
      probes.clear();
      tell({ problem: error.message });
      mine.reject(error);
    }
    if (wishes.size || probes.size) ask();
  }

  /** What was asked for is shown even where the probe has moved on: it is nearer than what stands there. */
  function showProbe(owner, { z, show }) {
    const isLast = probes.get(owner)?.z === z, isWanted = isLast || probes.has(owner);
    if (isLast) probes.delete(owner);
    if (isWanted) show(here.get(z.join()), isLast);
  }

  function keep(keys, values) {
    keys.forEach((key, i) => {
      here.set(key, values.subarray(i * size, (i + 1) * size));
      wishes.delete(key);
    });
    while (here.size > kept) here.delete(here.keys().next().value);
  }

  async function fetchItems(codes) {
    const body = new Float32Array(codes.length * latentDim);
    codes.forEach((code, i) => body.set(code, i * latentDim));
    let response;
    try {
      response = await fetch(new URL(model.decode, base), { method: 'POST', body, headers: { 'Content-Type': 'application/octet-stream' } });
    } catch {
      throw new Error('The server does not answer. Check the connection, then move the probe.');
    }
    if (!response.ok) throw new Error((await response.json().catch(() => ({}))).problem ?? `The server answered ${response.status}.`);
    const values = new Float32Array(await response.arrayBuffer());
    if (values.length !== codes.length * size) throw new Error('The server’s answer is cut off. Move the probe to ask again.');
    return values;
  }

  function tell(news) {
    for (const listener of listeners) listener(news);
  }

  /** Logits of what has come: the server gives probabilities. */
  function logits(z) {
    return decode(z)?.map((x) => {
      const p = Math.min(1 - NEAREST, Math.max(NEAREST, x));
      return Math.log(p / (1 - p));
    }) ?? null;
  }

  return { latentDim, shape, decode, logits, follow, soon: () => answer.promise, listeners };
}

/** The median, without the first, which had to start the server's process, as soon as there is another. */
function usual([first, ...others]) {
  return others.length ? others.sort((a, b) => a - b)[others.length >> 1] : first;
}

/** A promise and what settles it; nobody has to wait for it. */
function waiting() {
  let resolve, reject;
  const promise = new Promise((yes, no) => { [resolve, reject] = [yes, no]; });
  promise.catch(() => {});
  return { promise, resolve, reject };
}
