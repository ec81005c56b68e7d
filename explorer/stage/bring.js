/**
 * From any picture to what the models were trained on: their channels and their size; for digits and clothes also light on
 * dark, cropped, centred. Pure functions of pixel arrays; they know nothing of the page.
 *
 * MNIST: ink in a box of 20 by 20 with its aspect kept, then its centre of mass in the middle of 28 by 28 (LeCun, Bottou,
 * Bengio, Haffner 1998). Fashion-MNIST: the longer edge at 28, the frame in the middle (Xiao, Rasul, Vollgraf 2017).
 */

const INK = 0.1, LIGHT = 0.5, RIM_SHARE = 0.9, INK_SHARE = 0.995;
const LUMA = [0.299, 0.587, 0.114]; // ITU-R BT.601

/**
 * How a data set was made. shape: of an image, [C, H, W]. box: what ink or picture is scaled to. by: what of it stands in the
 * middle. isInk: light ink on black, to which any picture is brought; else a picture is taken as it is, on its own ground.
 * @typedef {{shape: number[], box: {width: number, height: number}, by: 'mass'|'frame', isInk: boolean}} Form
 */
const INKS = { mnist: { box: { width: 20, height: 20 }, by: 'mass' }, 'fashion-mnist': { box: { width: 28, height: 28 }, by: 'frame' } };

/** @returns {Form} of a data set that is not known: the whole picture, in the whole frame */
export function formOf(dataset, shape) {
  const ink = Object.hasOwn(INKS, dataset) ? INKS[dataset] : null, [, height, width] = shape;
  return ink ? { shape, ...ink, isInk: true } : { shape, box: { width, height }, by: 'frame', isInk: false };
}

export const OFF = { grey: false, invert: false, contrast: false, crop: false, scale: false, centre: false };

/** The steps that bring a picture to a form, until the person says otherwise. */
export function usualSteps(pixels, { isInk }) {
  return isInk ? { grey: true, invert: isLight(pixels), contrast: true, crop: true, scale: true, centre: true } : { ...OFF, scale: true };
}

/** @typedef {{data: Float64Array, width: number, height: number}} Pixels  [C, H, W] in [0, 1], C 1 (grey) or 3 (colour) */

/**
 * Each step's picture, the last one of the form's shape. Its values are whole 255ths, as in the data sets.
 * @param {Pixels} source
 * @param {typeof OFF} wanted  which steps are on; grey is taken by all that becomes one channel
 * @param {Form} form
 * @returns {Record<keyof typeof OFF, Pixels>}
 */
export function convert(source, wanted, { shape: [channels, high, wide], box, by, isInk }) {
  const frame = { width: wide, height: high };
  const grey = withChannels(wanted.grey ? withChannels(source, 1) : source, channels);
  const invert = wanted.invert ? inverted(grey) : grey;
  const contrast = wanted.contrast ? stretched(invert) : invert;
  const ground = isInk ? new Array(channels).fill(0) : groundsOf(contrast);
  const crop = wanted.crop ? cropped(contrast, inkBox(contrast, ground)) : contrast;
  const scale = wanted.scale ? fitted(crop, box) : crop.width > wide || crop.height > high ? fitted(crop, frame) : crop;
  const field = inFrame(scale, frame, ground), centre = wanted.centre ? centred(field, by, ground) : field;
  return { grey, invert, contrast, crop, scale, centre: { ...centre, data: centre.data.map((value) => Math.round(255 * value) / 255) } };
}

/** A drawing (on black) in another shape: the whole of it, its aspect kept. */
export function reshaped(pixels, [channels, height, width]) {
  const same = withChannels(pixels, channels);
  if (same.width === width && same.height === height) return same;
  return inFrame(fitted(same, { width, height }), { width, height }, new Array(channels).fill(0));
}

/** The colours of a picture, in whole 255ths; what is transparent is laid onto its ground. rgba: bytes, four a pixel. */
export function coloursOf({ rgba, width, height }) {
  const size = width * height, data = new Float64Array(3 * size), ground = groundOf(rgba);
  for (let i = 0; i < size; i++) {
    const alpha = rgba[4 * i + 3] / 255;
    for (let c = 0; c < 3; c++) data[c * size + i] = Math.round(rgba[4 * i + c] * alpha + ground * (1 - alpha)) / 255;
  }
  return { data, width, height };
}

/** Colours to luma in whole 255ths; a grey to three channels alike. */
export function withChannels(pixels, channels) {
  const { data, width, height } = pixels, size = width * height;
  if (data.length === channels * size) return pixels;
  const out = new Float64Array(channels * size);
  for (let c = 0; channels === 3 && c < 3; c++) out.set(data, c * size);
  for (let i = 0; channels === 1 && i < size; i++) out[i] = Math.round(255 * LUMA.reduce((sum, share, c) => sum + share * data[c * size + i], 0)) / 255;
  return { data: out, width, height };
}

/** What lies behind the transparent: 255 (white), or 0 (black) where the ink itself is light and would be lost on white. */
export function groundOf(rgba) {
  let ink = 0, all = 0;
  for (let at = 0; at < rgba.length; at += 4) {
    ink += rgba[at + 3] * lumaAt(rgba, at);
    all += rgba[at + 3];
  }
  return ink > 255 * LIGHT * all ? 0 : 255;
}

function lumaAt(rgba, at) {
  return LUMA[0] * rgba[at] + LUMA[1] * rgba[at + 1] + LUMA[2] * rgba[at + 2];
}

/** Whether the ground is light: the median of the outermost pixels is above a half. */
function isLight(pixels) {
  return quantile(rimOf(withChannels(pixels, 1)), 0.5) > LIGHT;
}

function inverted(pixels) {
  return { ...pixels, data: pixels.data.map((value) => 1 - value) };
}

/** The ground to 0, the ink to 1: paper is never quite even, and ink never quite black. */
function stretched(pixels) {
  const low = quantile(rimOf(pixels), RIM_SHARE), high = quantile(pixels.data, INK_SHARE);
  if (high - low < INK) return pixels; // a picture of nothing, or one that fills its rim
  return { ...pixels, data: pixels.data.map((value) => Math.min(1, Math.max(0, (value - low) / (high - low)))) };
}

/** The smallest box that holds all that stands out from the ground; all of the picture where nothing does. */
function inkBox({ data, width, height }, ground) {
  let left = width, right = -1, top = height, bottom = -1;
  for (let i = 0; i < data.length; i++) {
    const place = i % (width * height);
    if (Math.abs(data[i] - ground[(i - place) / (width * height)]) <= INK) continue;
    const column = place % width, row = Math.floor(place / width);
    [left, right, top, bottom] = [Math.min(left, column), Math.max(right, column), Math.min(top, row), Math.max(bottom, row)];
  }
  return right < 0 ? { left: 0, top: 0, width, height } : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

function cropped(pixels, { left, top, width, height }) {
  const wide = pixels.width;
  return byPlane(pixels, { width, height }, (plane) => {
    const out = new Float64Array(width * height);
    for (let row = 0; row < height; row++) out.set(plane.subarray((top + row) * wide + left, (top + row) * wide + left + width), row * width);
    return out;
  });
}

/** As large as the box allows, the aspect kept; each new pixel is the mean of the area it covers. */
export function fitted(pixels, box) {
  const { width, height } = pixels, scale = Math.min(box.width / width, box.height / height);
  const wide = Math.max(1, Math.round(width * scale)), high = Math.max(1, Math.round(height * scale));
  return byPlane(pixels, { width: wide, height: high }, (plane) => {
    const across = averaged(plane, height, width, wide); // [height, wide]
    return transposed(averaged(transposed(across, height, wide), wide, height, high), wide, high);
  });
}

/** Another array of each channel, of another size. */
function byPlane({ data, width, height }, size, change) {
  const from = width * height, to = size.width * size.height, out = new Float64Array((data.length / from) * to);
  for (let c = 0; c * from < data.length; c++) out.set(change(data.subarray(c * from, (c + 1) * from), c), c * to);
  return { data: out, ...size };
}

/** Rows of `from` values to rows of `to`, by the share of each old value that a new one covers. */
function averaged(data, rows, from, to) {
  const out = new Float64Array(rows * to), step = from / to;
  for (let j = 0; j < to; j++) {
    const start = j * step, end = Math.min(from, start + step);
    for (let i = Math.floor(start); i < end; i++) {
      const share = (Math.min(end, i + 1) - Math.max(start, i)) / step;
      for (let row = 0; row < rows; row++) out[row * to + j] += share * data[row * from + i];
    }
  }
  return out;
}

function transposed(data, rows, columns) {
  const out = new Float64Array(data.length);
  for (let i = 0; i < data.length; i++) out[(i % columns) * rows + Math.floor(i / columns)] = data[i];
  return out;
}

/** The picture in the middle of a frame. */
function inFrame(pixels, frame, ground) {
  return moved(pixels, frame, ground, Math.floor((frame.width - pixels.width) / 2), Math.floor((frame.height - pixels.height) / 2));
}

/** What stands out shifted by whole pixels, as far as it stays inside, until its centre of mass or its frame is in the middle. */
function centred(field, by, ground) {
  const box = inkBox(field, ground), mass = by === 'mass' ? massOf(field) : null;
  if (mass && !mass.total) return field;
  const shift = (start, long, side, centre) => {
    const wanted = mass ? Math.round(side / 2 - centre) : Math.floor((side - long) / 2) - start;
    return Math.min(side - start - long, Math.max(-start, wanted));
  };
  return moved(field, field, ground, shift(box.left, box.width, field.width, mass?.x), shift(box.top, box.height, field.height, mass?.y));
}

/** All ink of a grey picture on black, and where its middle is. */
function massOf({ data, width }) {
  let total = 0, x = 0, y = 0;
  data.forEach((value, i) => {
    total += value;
    x += value * (i % width);
    y += value * Math.floor(i / width);
  });
  return { total, x: x / total, y: y / total };
}

function moved(pixels, { width, height }, ground, right, down) {
  return byPlane(pixels, { width, height }, (plane, c) => {
    const out = new Float64Array(width * height).fill(ground[c]);
    plane.forEach((value, i) => {
      const column = (i % pixels.width) + right, row = Math.floor(i / pixels.width) + down;
      if (column >= 0 && column < width && row >= 0 && row < height) out[row * width + column] = value;
    });
    return out;
  });
}

/** Of a picture's outermost pixels the one that is nearest to their median, by channel: a colour that the picture has. */
function groundsOf(pixels) {
  const rim = rimOf(pixels), channels = pixels.data.length / (pixels.width * pixels.height), count = rim.length / channels;
  const at = (i) => Array.from({ length: channels }, (_, c) => rim[c * count + i]);
  const middle = Array.from({ length: channels }, (_, c) => quantile(rim.subarray(c * count, (c + 1) * count), 0.5));
  const far = (i) => at(i).reduce((sum, value, c) => sum + Math.abs(value - middle[c]), 0);
  let best = 0;
  for (let i = 1; i < count; i++) if (far(i) < far(best)) best = i;
  return at(best);
}

function rimOf({ data, width, height }) {
  return data.filter((_, at) => {
    const i = at % (width * height);
    return i < width || i >= width * (height - 1) || i % width === 0 || i % width === width - 1;
  });
}

function quantile(values, share) {
  return Float64Array.from(values).sort()[Math.round(share * (values.length - 1))];
}
