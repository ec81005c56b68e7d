/**
 * The image that is drawn or brought, kept in the browser's tab: it outlasts a reload and a look at another page, and goes
 * when the tab does. It is never sent anywhere.
 */

import { SIDE } from './bring.js';

const KEY = 'latent-explorer: your image', MOST_SIDE = { drawn: SIDE, brought: 512 };

/** @typedef {{kind: 'drawn'|'brought', source: import('./bring.js').Grey, steps: Record<string, boolean>, note: string}} Kept */

/** @param {Kept} kept  the newest takes the place of what was kept before */
export function remember({ kind, source: { data, width, height }, steps, note }) {
  let bytes = '';
  for (const value of data) bytes += String.fromCharCode(Math.round(255 * value));
  attempt(() => sessionStorage.setItem(KEY, JSON.stringify({ kind, width, height, bytes: btoa(bytes), steps, note })));
}

export function forget() {
  attempt(() => sessionStorage.removeItem(KEY));
}

/** @returns {Kept|null}  null where nothing is kept, or nothing that can be used */
export function remembered() {
  return attempt(() => {
    const { kind, width, height, bytes, steps, note } = JSON.parse(sessionStorage.getItem(KEY));
    const data = Float64Array.from(atob(bytes), (letter) => letter.charCodeAt(0) / 255);
    const isSound = [width, height].every((side) => side > 0 && side <= MOST_SIDE[kind]) && data.length === width * height;
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
