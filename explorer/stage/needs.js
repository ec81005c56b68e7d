/**
 * What the stage asks of a browser. It is looked at before the stage starts, so this file uses nothing that an older
 * browser lacks; the years are those of MDN's compatibility tables.
 */

const RIGHT = 'Use Chrome, Edge or Firefox from 2023 on, or Safari 16.4 or newer.';

/** @type {[string, () => boolean][]} a name that can be looked up, and whether it is there */
const NEEDS = [
  ['Canvas', () => Boolean(document.createElement('canvas').getContext && document.createElement('canvas').getContext('2d'))],
  ['Pointer events', () => typeof PointerEvent === 'function'],
  ['ResizeObserver', () => typeof ResizeObserver === 'function'],
  ['EventSource', () => typeof EventSource === 'function'],
  ['OffscreenCanvas', () => typeof OffscreenCanvas === 'function'],
  ['DecompressionStream', () => typeof DecompressionStream === 'function'],
  ['CSS container queries', () => CSS.supports('container-type: inline-size')],
  ['CSS color-mix', () => CSS.supports('color', 'color-mix(in srgb, red, blue)')],
];

/** A sentence on what this browser lacks; '' if it has all. */
export function lacking() {
  const missing = NEEDS.filter(([, there]) => !there()).map(([name]) => name);
  return missing.length ? `This browser cannot show this page: it has no ${missing.join(', no ')}. ${RIGHT}` : '';
}

/** Why a page could not be started, as a sentence. A browser that cannot read a module finds fault with its syntax. */
export function whyNot(error) {
  if (error instanceof SyntaxError) return `This browser is too old to show this page. ${RIGHT}`;
  if (!(error instanceof TypeError && /import|module/i.test(error.message))) return 'This page could not be started. Reload it: the address keeps what you chose.';
  return 'This page could not be fetched whole. Check the connection, then reload it: the address keeps what you chose.';
}
