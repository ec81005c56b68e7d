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

/** Whether the page was asked for as a frame of another one. Streamlit reads the same, and leaves out its own parts. */
export function isEmbedded() {
  return new URLSearchParams(location.search).get('embed')?.toLowerCase() === 'true';
}

/**
 * Keeps the state in the page's address, without a rerun and not more often than browsers allow.
 * @returns {{query: string, write: (state: any) => void, stop: () => void}} query: what the address asked for
 */
export function makeAddress(catalogue) {
  let timer = 0;

  function write(state) {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const query = writeState(location.search, state, catalogue);
      try {
        history.replaceState(history.state, '', `${location.pathname}${query ? `?${query}` : ''}${location.hash}`);
      } catch {
        // A page that is no one's, such as a file in a frame, has no say over its address: the view goes on without.
      }
    }, ADDRESS_DELAY_MS);
  }
  return { query: location.search, write, stop: () => clearTimeout(timer) };
}
