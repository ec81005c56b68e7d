/**
 * A decoder in plain JavaScript: z -> logits -> x_hat. Knows nothing of the page.
 *
 * Weights are float32, sums are kept in float64, so that it agrees with torch to 1e-5 over codes far outside the data.
 * A decoder reuses its output array: copy it before the next call if it is to be kept.
 */

/**
 * @typedef {{data: Float32Array, shape: number[]}} Tensor
 * @typedef {{latentDim: number, shape: number[], logits: (z: ArrayLike<number>) => Float64Array,
 *            decode: (z: ArrayLike<number>) => Float64Array,
 *            follow: (owner: object, z: ArrayLike<number>, show: (x_hat: ArrayLike<number>, isLast: boolean) => void) => void}} Decoder
 *   follow: show what is decoded for z, the newest that owner wants. One that runs on the server answers later: see remote.js.
 */

/**
 * @param {Array<Record<string, any>>} layers  by kind: those of MAKERS, and sigmoid
 * @param {Record<string, Tensor>} weights
 * @returns {Decoder}
 */
export function makeDecoder(layers, weights) {
  const latentDim = weights[layers[0].weight].shape[1];
  const { shape, run: logits } = chain(layers.filter(({ kind }) => kind !== 'sigmoid'), weights, [latentDim]);
  const x_hat = new Float64Array(shape.reduce((a, b) => a * b));
  const decode = (z) => {
    const values = logits(z);
    for (let i = 0; i < x_hat.length; i++) x_hat[i] = 1 / (1 + Math.exp(-values[i]));
    return x_hat;
  };
  return { latentDim, shape, logits, decode, follow: (_owner, z, show) => show(decode(z), true) };
}

/**
 * Show what is decoded for a code: now, or when it has come.
 * @param {any} decoder
 * @param {ArrayLike<number>} z
 * @param {(x_hat: ArrayLike<number>) => void} show
 */
export function whenDecoded(decoder, z, show) {
  const x_hat = decoder.decode(z);
  if (x_hat) show(x_hat);
  else decoder.soon().then(() => whenDecoded(decoder, z, show), () => {}); // the panel says what went wrong
}

/** What is decoded for a code, waited for. Rejects, with a sentence, where the server has no answer. */
export async function untilDecoded(decoder, z) {
  for (;;) {
    const x_hat = decoder.decode(z);
    if (x_hat) return x_hat;
    await decoder.soon();
  }
}

const AHEAD = 64;

/**
 * Pictures one after another, as a task for slices: what has not come yet goes to the end of the row, so that many can be
 * asked for at once.
 * @param {Array<{decoder: any, z: ArrayLike<number>, show: (x_hat: ArrayLike<number>) => void}>} wanted
 * @returns {() => boolean|Promise<void>}
 */
export function inTurn(wanted) {
  let missed = 0;
  return () => {
    const one = wanted.shift(), x_hat = one.decoder.decode(one.z);
    if (x_hat) one.show(x_hat);
    else wanted.push(one);
    missed = x_hat ? 0 : missed + 1;
    if (!missed || missed < Math.min(AHEAD, wanted.length)) return wanted.length > 0;
    missed = 0;
    return one.decoder.soon();
  };
}

/**
 * Layers one after another.
 * @param {Array<Record<string, any>>} layers
 * @param {Record<string, Tensor>} weights
 * @param {number[]} shape  of what goes in
 * @param {Record<string, Function>} makers  by kind of layer
 * @returns {{shape: number[], run: (values: ArrayLike<number>) => Float64Array}} shape: of what comes out
 */
export function chain(layers, weights, shape, makers = MAKERS) {
  const steps = [];
  for (const layer of layers) {
    if (!makers[layer.kind]) throw new Error(`A layer is of an unknown kind: ${layer.kind}`);
    const made = makers[layer.kind](layer, weights, shape);
    shape = made.shape;
    if (made.step) steps.push(made.step);
  }
  return { shape, run: (values) => steps.reduce((given, step) => step(given), values) };
}

export const MAKERS = {
  linear(layer, weights) {
    const { data: w, shape: [outputs, inputs] } = weights[layer.weight];
    const bias = weights[layer.bias].data;
    const out = new Float64Array(outputs);
    return { shape: [outputs], step: (x) => multiply(w, bias, x, inputs, out) };
  },

  relu(_layer, _weights, shape) {
    return {
      shape,
      step: (x) => {
        for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] = 0;
        return x;
      },
    };
  },

  unflatten(layer) {
    return { shape: layer.shape, step: null };
  },

  conv_transpose(layer, weights, [, height, width]) {
    const { data: w, shape: [inputs, outputs, side] } = weights[layer.weight];
    const bias = weights[layer.bias].data;
    const more = side - 2 * layer.padding + (layer.output_padding ?? 0);
    const outHeight = (height - 1) * layer.stride + more, outWidth = (width - 1) * layer.stride + more;
    const out = new Float64Array(outputs * outHeight * outWidth);
    const geometry = { inputs, outputs, side, height, width, outHeight, outWidth, stride: layer.stride, padding: layer.padding };
    return { shape: [outputs, outHeight, outWidth], step: (x) => convTranspose(w, bias, x, geometry, out) };
  },
};

/** out = w x + bias; four sums at a time, which the engine keeps in registers. */
function multiply(w, bias, x, inputs, out) {
  const even = inputs - (inputs % 4);
  for (let row = 0, at = 0; row < out.length; row++, at += inputs) {
    let a = 0, b = 0, c = 0, d = 0;
    for (let i = 0; i < even; i += 4) {
      a += w[at + i] * x[i];
      b += w[at + i + 1] * x[i + 1];
      c += w[at + i + 2] * x[i + 2];
      d += w[at + i + 3] * x[i + 3];
    }
    for (let i = even; i < inputs; i++) a += w[at + i] * x[i];
    out[row] = bias[row] + (a + b) + (c + d);
  }
  return out;
}

/** Each input pixel adds its value times the kernel to the square of outputs it reaches. Weights [in, out, side, side]. */
function convTranspose(w, bias, x, g, out) {
  const outSize = g.outHeight * g.outWidth;
  for (let o = 0; o < g.outputs; o++) out.fill(bias[o], o * outSize, (o + 1) * outSize);
  for (let i = 0, at = 0; i < g.inputs; i++) {
    for (let y = 0; y < g.height; y++) {
      for (let column = 0; column < g.width; column++, at++) {
        if (x[at] !== 0) spread(w, x[at], i, y * g.stride - g.padding, column * g.stride - g.padding, g, outSize, out);
      }
    }
  }
  return out;
}

function spread(w, value, input, top, left, g, outSize, out) {
  const firstX = Math.max(0, -left), lastX = Math.min(g.side, g.outWidth - left);
  const firstY = Math.max(0, -top), lastY = Math.min(g.side, g.outHeight - top);
  for (let o = 0; o < g.outputs; o++) {
    const kernel = (input * g.outputs + o) * g.side * g.side;
    for (let ky = firstY; ky < lastY; ky++) {
      const to = o * outSize + (top + ky) * g.outWidth + left;
      for (let kx = firstX; kx < lastX; kx++) out[to + kx] += value * w[kernel + ky * g.side + kx];
    }
  }
}

/**
 * Binary cross-entropy of an image against logits, in nats, summed over pixels.
 * @param {ArrayLike<number>} logits
 * @param {ArrayLike<number>} bytes  the image, 0…255
 */
export function reconError(logits, bytes) {
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i];
    sum += Math.max(logit, 0) - (logit * bytes[i]) / 255 + Math.log1p(Math.exp(-Math.abs(logit)));
  }
  return sum;
}
