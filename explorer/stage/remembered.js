/**
 * The image that is drawn or brought and the row that is changed, kept in the browser's tab: they outlast a reload and a look
 * at another page, and go when the tab does. They are never sent anywhere.
 */

const IMAGE = 'latent-explorer: your image', ROW = 'latent-explorer: your row';
const KEYS = { drawn: IMAGE, brought: IMAGE, row: ROW }, MOST_SIDE = { drawn: 64, brought: 512, row: 4096 };

/**
 * @typedef {{kind: 'drawn'|'brought'|'row', source: import('./bring.js').Pixels, steps: Record<string, boolean>, note: string}} Kept
 *   note: what had to be done to a picture; of a row the name of its data set
 */

/** @param {Kept} kept  the newest takes the place of what was kept before */
export function remember({ kind, source: { data, width, height }, steps, note }) {
  let bytes = '';
  for (const value of data) bytes += String.fromCharCode(Math.round(255 * value));
  attempt(() => sessionStorage.setItem(KEYS[kind], JSON.stringify({ kind, width, height, bytes: btoa(bytes), steps, note })));
}

/** @param {Kept['kind']} kind  an image or a row */
export function forget(kind) {
  attempt(() => sessionStorage.removeItem(KEYS[kind]));
}

/** @returns {Kept|null}  null where no image is kept, or none that can be used */
export function remembered() {
  return read(IMAGE);
}

/** @returns {Kept|null}  null where no row is kept, or none that can be used */
export function rememberedRow() {
  return read(ROW);
}

function read(key) {
  return attempt(() => {
    const { kind, width, height, bytes, steps, note } = JSON.parse(sessionStorage.getItem(key));
    const data = Float64Array.from(atob(bytes), (letter) => letter.charCodeAt(0) / 255), channels = data.length / (width * height);
    const isSound = KEYS[kind] === key && [width, height].every((side) => side > 0 && side <= MOST_SIDE[kind]) && [1, 3].includes(channels);
    return isSound ? { kind, source: { data, width, height }, steps, note: String(note) } : null;
  });
}

/** A browser may refuse to keep anything, and what is kept may be damaged: the page goes on without. */
function attempt(action) {
  try {
    return action();
  } catch {
    return null;
  }
}
