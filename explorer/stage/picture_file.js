/**
 * What a picture's file is, by its first bytes and its blocks, before anything is decoded; then its pixels. Every refusal
 * is a sentence that says what would be right.
 */

import { groundOf } from './bring.js';

export const MOST_BYTES = 20e6, MOST_PIXELS = 40e6, MOST_SIDE = 32_767;
const WORKED_SIDE = 512; // decoded pictures are scaled down to this: 64 by 64 is the most that becomes of them
const EXIF = 0x45786966; // its letters
const RIGHT = 'Right would be a PNG, JPEG, WebP or GIF.';
const ENDS = { PNG: ['png'], JPEG: ['jpg', 'jpeg', 'jpe', 'jfif'], GIF: ['gif'], WebP: ['webp'] };
const ANIMATED = 'It is animated: the first frame is used.', TURNED = 'It was turned upright, as its EXIF data say.';
const OTHERS = [
  ['BMP', (text) => text.startsWith('BM')], ['TIFF', (text) => /^(II\*\0|MM\0\*)/.test(text)], ['PDF', (text) => text.startsWith('%PDF')],
  ['HEIC', (text) => /^ftyp(heic|heix|mif1|msf1)/.test(text.slice(4))], ['AVIF', (text) => /^ftypavi[fs]/.test(text.slice(4))],
];

/** @typedef {{rgba: Uint8ClampedArray, width: number, height: number, notes: string[]}} Picture */

/**
 * The pixels of a file that someone brought, and what had to be done to it.
 * @param {File|Blob} file
 * @param {string} name  how sentences call it
 * @returns {Promise<Picture>}
 * @throws {Error} with a sentence for the screen
 */
export async function readPicture(file, name = named(file.name)) {
  if (file.size > MOST_BYTES) throw new Error(`${name} has ${(file.size / 1e6).toFixed(0)} MB. At most ${MOST_BYTES / 1e6} MB are read: save it smaller.`);
  const bytes = await bytesOf(file, name);
  const { kind, notes } = inspect(bytes, name);
  const end = /\.([a-z0-9]+)$/i.exec(file.name ?? '')?.[1].toLowerCase();
  if (end && !ENDS[kind].includes(end)) notes.unshift(`It is called .${end.slice(0, 8)} but is a ${kind}, and was read as one.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes], { type: `image/${kind.toLowerCase()}` }));
  } catch {
    throw new Error(`${name} begins as a ${kind} but is damaged: it cannot be decoded. Save or download it again.`);
  }
  return pictureOf(bitmap, notes);
}

async function bytesOf(file, name) {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new Error(`${name} cannot be read: it is a folder, or it is no longer there. ${RIGHT}`);
  }
}

/** A file's name in quotes, without letters that cannot be seen: one of them turns the rest of a sentence round. */
function named(name) {
  return `“${[...name.replace(/\p{C}/gu, '')].slice(0, 60).join('')}”`;
}

/**
 * The pixels of what a browser can draw, scaled down if it is large.
 * @param {ImageBitmap} bitmap  closed afterwards
 * @param {string[]} notes
 * @returns {Picture}
 */
export function pictureOf(bitmap, notes = []) {
  const scale = Math.min(1, WORKED_SIDE / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale)), height = Math.max(1, Math.round(bitmap.height * scale));
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const hasAlpha = rgba.some((value, i) => i % 4 === 3 && value < 255);
  return { rgba, width, height, notes: hasAlpha ? [...notes, `What was transparent was laid onto ${groundOf(rgba) ? 'white' : 'black'}.`] : notes };
}

/**
 * @param {Uint8Array} bytes
 * @param {string} name  how sentences call the file
 * @returns {{kind: string, width: number, height: number, notes: string[]}}
 */
export function inspect(bytes, name = 'This file') {
  if (!bytes.length) throw new Error(`${name} is empty. ${RIGHT}`);
  const text = String.fromCharCode(...bytes.subarray(0, 400)); // a decoder of latin1 would make other letters of 0x80 to 0x9f
  const kind = text.startsWith('\x89PNG\r\n\x1a\n') ? 'PNG' : text.startsWith('\xff\xd8\xff') ? 'JPEG'
    : /^GIF8[79]a/.test(text) ? 'GIF' : text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP' ? 'WebP' : null;
  if (!kind) throw new Error(refusal(text, name));
  let found;
  try {
    found = { PNG: readPng, JPEG: readJpeg, GIF: readGif, WebP: readWebp }[kind](new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Error(`${name} is a ${kind} that is cut off: its end is missing. Save or download it again.`);
  }
  const { width, height, notes } = found, said = (value) => value.toLocaleString('en');
  if (!(width > 0 && height > 0)) throw new Error(`${name} is a ${kind} without a size: it is damaged. Save or download it again.`);
  if (width * height > MOST_PIXELS || Math.max(width, height) > MOST_SIDE) {
    throw new Error(`${name} has ${said(width)} by ${said(height)} pixels. At most ${MOST_PIXELS / 1e6} million are decoded, ${said(MOST_SIDE)} a side: save it smaller.`);
  }
  return { kind, width, height, notes };
}

function refusal(text, name) {
  if (/<svg[\s>]/i.test(text) || (text.trimStart().startsWith('<?xml') && /svg/i.test(text))) {
    return `${name} is an SVG, which is a program rather than pixels: it is not opened. Save it as a PNG.`;
  }
  const other = OTHERS.find(([, fits]) => fits(text));
  return other ? `${name} is a ${other[0]}, which is not read here. ${RIGHT}` : `${name} is not an image. ${RIGHT}`;
}

/** A read beyond the end is a RangeError: the file is cut off. */
function must(isThere) {
  if (!isThere) throw new RangeError();
}

function readPng(view) {
  const notes = [], [width, height, bits] = [view.getUint32(16), view.getUint32(20), view.getUint8(24)];
  let type = '', isAnimated = false;
  for (let at = 8; type !== 'IEND'; at += 12 + view.getUint32(at)) {
    must(at + 12 + view.getUint32(at) <= view.byteLength);
    type = [4, 5, 6, 7].map((i) => String.fromCharCode(view.getUint8(at + i))).join('');
    isAnimated ||= type === 'acTL';
    if (type === 'eXIf' && orientationOf(view, at + 8) > 1) notes.push(TURNED);
  }
  if (bits === 16) notes.push('It has 16 bits a channel: the browser made 8 of them.');
  if (isAnimated) notes.push(ANIMATED);
  return { width, height, notes };
}

function readJpeg(view) {
  const notes = [];
  let at = 2, size = null;
  for (; view.getUint8(at + 1) !== 0xda; at += 2 + view.getUint16(at + 2)) {
    while (view.getUint8(at + 1) === 0xff) at++; // fill bytes
    const marker = view.getUint8(at + 1);
    if (view.getUint8(at) !== 0xff || marker === 0xd9) must(false);
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      size = { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
      if (view.getUint8(at + 9) === 4) notes.push('It has four inks (CMYK): the browser made RGB of them.');
    }
    if (marker === 0xe1 && view.getUint32(at + 4) === EXIF && orientationOf(view, at + 10) > 1) notes.push(TURNED);
  }
  let end = view.byteLength - 2;
  while (end > at && view.getUint16(end) !== 0xffd9) end--;
  must(end > at);
  return { width: size?.width, height: size?.height, notes };
}

/** The orientation in EXIF data, 1 where they say none or are damaged: then the browser does not turn it either. */
function orientationOf(view, tiff) {
  try {
    return readOrientation(view, tiff);
  } catch {
    return 1;
  }
}

function readOrientation(view, tiff) {
  const little = view.getUint16(tiff) === 0x4949, first = tiff + view.getUint32(tiff + 4, little);
  for (let i = 0; i < view.getUint16(first, little); i++) {
    const entry = first + 2 + 12 * i;
    if (view.getUint16(entry, little) === 0x0112) return view.getUint16(entry + 8, little);
  }
  return 1;
}

function readGif(view) {
  const flags = view.getUint8(10), size = [view.getUint16(6, true), view.getUint16(8, true)];
  const tableBytes = (bits) => (bits & 0x80 ? 3 << ((bits & 7) + 1) : 0);
  let at = 13 + tableBytes(flags), frames = 0;
  const skipBlocks = () => {
    while (view.getUint8(at)) at += view.getUint8(at) + 1;
    at++;
  };
  for (let kind = view.getUint8(at); kind !== 0x3b; kind = view.getUint8(at)) {
    if (kind === 0x21) at += 2;
    else {
      must(kind === 0x2c);
      frames++;
      // A frame may reach beyond the size in the header: decoders make room for it.
      size.forEach((value, i) => { size[i] = Math.max(value, view.getUint16(at + 1 + 2 * i, true) + view.getUint16(at + 5 + 2 * i, true)); });
      at += 10 + tableBytes(view.getUint8(at + 9)) + 1;
    }
    skipBlocks();
  }
  return { width: size[0], height: size[1], notes: frames > 1 ? [ANIMATED] : [] };
}

function readWebp(view) {
  must(view.getUint32(4, true) + 8 <= view.byteLength);
  const small = (at) => view.getUint16(at, true), whole = (at) => 1 + small(at) + (view.getUint8(at + 2) << 16);
  const form = String.fromCharCode(view.getUint8(15));
  if (form === 'X') return { width: whole(24), height: whole(27), notes: view.getUint8(20) & 2 ? [ANIMATED] : [] };
  if (form === 'L') {
    const bits = view.getUint32(21, true);
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >> 14) & 0x3fff), notes: [] };
  }
  return { width: small(26) & 0x3fff, height: small(28) & 0x3fff, notes: [] };
}
