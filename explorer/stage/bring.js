/**
 * From any picture to what the models were trained on: grey, light on dark, cropped, scaled, centred. Pure functions of
 * pixel arrays; they know nothing of the page.
 *
 * MNIST: ink in a box of 20 by 20 with its aspect kept, then its centre of mass in the middle of 28 by 28 (LeCun, Bottou,
 * Bengio, Haffner 1998). Fashion-MNIST: the longer edge at 28, the frame in the middle (Xiao, Rasul, Vollgraf 2017).
 */

export const SIDE = 28;
const INK = 0.1, LIGHT = 0.5, MIDDLE = 14, RIM_SHARE = 0.9, INK_SHARE = 0.995;

/** How a data set was made: the box that ink is scaled to, and what of it stands in the middle. */
const FORMS = { mnist: { box: 20, by: 'mass' }, 'fashion-mnist': { box: 28, by: 'frame' } };

export function formOf(dataset) {
  return FORMS[dataset] ?? FORMS.mnist;
}

/** @typedef {{data: Float64Array, width: number, height: number}} Grey  row by row, in [0, 1] */

/**
 * Each step's picture, from grey to 28 by 28. The last one's values are whole 255ths, as in the data sets.
 * @param {Grey} source
 * @param {{invert: boolean, contrast: boolean, crop: boolean, scale: boolean, centre: boolean}} wanted  which steps are on
 * @param {{box: number, by: string}} form
 * @returns {Record<'grey'|'invert'|'contrast'|'crop'|'scale'|'centre', Grey>}
 */
export function convert(source, wanted, form) {
  const invert = wanted.invert ? inverted(source) : source;
  const contrast = wanted.contrast ? stretched(invert) : invert;
  const crop = wanted.crop ? cropped(contrast, inkBox(contrast)) : contrast;
  const { width, height } = crop;
  const scale = wanted.scale ? fitted(crop, form.box) : Math.max(width, height) > SIDE ? fitted(crop, SIDE) : crop;
  const field = inField(scale), centre = wanted.centre ? centred(field, form.by) : field;
  return { grey: source, invert, contrast, crop, scale, centre: { ...centre, data: centre.data.map((value) => Math.round(255 * value) / 255) } };
}

/** Colours to luma (ITU-R BT.601) in whole 255ths; what is transparent is laid onto its ground. rgba: bytes, four a pixel. */
export function greyOf({ rgba, width, height }) {
  const data = new Float64Array(width * height), ground = groundOf(rgba);
  for (let i = 0; i < data.length; i++) {
    const alpha = rgba[4 * i + 3] / 255;
    data[i] = Math.round(lumaAt(rgba, 4 * i) * alpha + ground * (1 - alpha)) / 255;
  }
  return { data, width, height };
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
  return 0.299 * rgba[at] + 0.587 * rgba[at + 1] + 0.114 * rgba[at + 2];
}

/** Whether the ground is light: the median of the outermost pixels is above a half. */
export function isLight(grey) {
  return quantile(rimOf(grey), 0.5) > LIGHT;
}

export function inverted(grey) {
  return { ...grey, data: grey.data.map((value) => 1 - value) };
}

/** The ground to 0, the ink to 1: paper is never quite even, and ink never quite black. */
export function stretched(grey) {
  const low = quantile(rimOf(grey), RIM_SHARE), high = quantile(grey.data, INK_SHARE);
  if (high - low < INK) return grey; // a picture of nothing, or one that fills its rim
  return { ...grey, data: grey.data.map((value) => Math.min(1, Math.max(0, (value - low) / (high - low)))) };
}

/** The smallest box that holds all ink; all of the picture where there is none. */
export function inkBox({ data, width, height }) {
  let left = width, right = -1, top = height, bottom = -1;
  for (let i = 0; i < data.length; i++) {
    if (data[i] <= INK) continue;
    const column = i % width, row = Math.floor(i / width);
    [left, right, top, bottom] = [Math.min(left, column), Math.max(right, column), Math.min(top, row), Math.max(bottom, row)];
  }
  return right < 0 ? { left: 0, top: 0, width, height } : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

export function cropped({ data, width: wide }, { left, top, width, height }) {
  const out = new Float64Array(width * height);
  for (let row = 0; row < height; row++) out.set(data.subarray((top + row) * wide + left, (top + row) * wide + left + width), row * width);
  return { data: out, width, height };
}

/** The longer edge to side pixels, the aspect kept; each new pixel is the mean of the area it covers. */
export function fitted({ data, width, height }, side) {
  const scale = side / Math.max(width, height);
  const wide = Math.max(1, Math.round(width * scale)), high = Math.max(1, Math.round(height * scale));
  const across = averaged(data, height, width, wide); // [height, wide]
  return { data: transposed(averaged(transposed(across, height, wide), wide, height, high), wide, high), width: wide, height: high };
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

/** The picture's frame in the middle of 28 by 28. */
function inField({ data, width, height }) {
  return moved({ data, width, height }, Math.floor((SIDE - width) / 2), Math.floor((SIDE - height) / 2));
}

/** Ink shifted by whole pixels, as far as it stays inside, until its centre of mass or its frame is in the middle. */
export function centred(field, by) {
  const total = field.data.reduce((sum, value) => sum + value, 0);
  if (total === 0) return field;
  const { left, top, width, height } = inkBox(field);
  const mass = [0, 0];
  field.data.forEach((value, i) => { mass[0] += value * (i % SIDE); mass[1] += value * Math.floor(i / SIDE); });
  const shift = (axis, start, long) => {
    const wanted = by === 'mass' ? Math.round(MIDDLE - mass[axis] / total) : Math.floor((SIDE - long) / 2) - start;
    return Math.min(SIDE - start - long, Math.max(-start, wanted));
  };
  return moved(field, shift(0, left, width), shift(1, top, height));
}

function moved({ data, width, height }, right, down) {
  const out = new Float64Array(SIDE * SIDE);
  for (let i = 0; i < data.length; i++) {
    const column = (i % width) + right, row = Math.floor(i / width) + down;
    if (column >= 0 && column < SIDE && row >= 0 && row < SIDE) out[row * SIDE + column] = data[i];
  }
  return { data: out, width: SIDE, height: SIDE };
}

function rimOf({ data, width, height }) {
  return data.filter((_, i) => i < width || i >= width * (height - 1) || i % width === 0 || i % width === width - 1);
}

function quantile(values, share) {
  return Float64Array.from(values).sort()[Math.round(share * (values.length - 1))];
}
