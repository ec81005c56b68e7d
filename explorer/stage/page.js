/** What the stage has to do with the page around it: sentences that need attention, and the address. */

import { h } from './dom.js';
import { writeState } from './state.js';

const ADDRESS_DELAY_MS = 150;

/** A place for sentences about what is not as it should be; each can be closed, none is said twice. */
export function makeNotices() {
  const element = h('div', { class: 'notices', role: 'alert' });

  /** brief: gone again with the next thing that works. */
  function say(text, { brief = false } = {}) {
    if ([...element.children].some((shown) => shown.firstChild.textContent === text)) return;
    const item = h('p', { 'data-brief': brief }, h('span', {}, text),
      h('button', { type: 'button', 'aria-label': 'Close this message', onclick: () => item.remove() }, '×'));
    element.append(item);
  }
  const settle = () => element.querySelectorAll('[data-brief]').forEach((item) => item.remove());
  return { element, say, settle };
}

/** Keeps the state in the page's address, without a rerun and not more often than browsers allow. */
export function makeAddress(catalogue) {
  let timer = 0;

  function now(state) {
    clearTimeout(timer);
    const query = writeState(location.search, state, catalogue);
    try {
      history.replaceState(history.state, '', `${location.pathname}${query ? `?${query}` : ''}${location.hash}`);
    } catch {
      // A page that is no one's, such as a file in a frame, has no say over its address: the view goes on without.
    }
  }

  function write(state) {
    clearTimeout(timer);
    timer = setTimeout(() => now(state), ADDRESS_DELAY_MS);
  }
  return { write, now, stop: () => clearTimeout(timer) };
}
