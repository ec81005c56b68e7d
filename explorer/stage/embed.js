/** The stage as it stands, for a page of one's own: the text of an iframe to copy. */

import { h, setText } from './dom.js';

const PARTS = { '&': '&amp;', '"': '&quot;', '<': '&lt;', '>': '&gt;' };
const COPIED_MS = 2000;

/**
 * @param {{base: string|URL, query: () => string}} options  query: the models and the view, as the address wants them
 */
export function makeEmbed({ base, query }) {
  const text = h('textarea', { readonly: true, rows: 4, spellcheck: 'false', 'aria-label': 'The frame as text', onfocus: () => text.select() });
  const copy = h('button', { type: 'button', onclick: copyIt }, 'Copy the frame');
  const write = () => { text.value = frameText(new URL(`?${query()}&embed=true`, base).href); };
  const element = h('details', { class: 'take embed', ontoggle: write, onfocusin: write, onpointerenter: write },
    h('summary', {}, 'Embed in a page'),
    h('p', {}, 'Paste this into the HTML of a page: the two models and this view, live. Its readers must be able to reach this server. Models that you trained or brought are yours alone: others see those that ship.'),
    text, copy);

  async function copyIt() {
    write();
    try {
      await navigator.clipboard.writeText(text.value);
      setText(copy, 'Copied');
    } catch {
      text.focus();
      setText(copy, 'Press Ctrl + C to copy');
    }
    setTimeout(() => setText(copy, 'Copy the frame'), COPIED_MS);
  }
  return { element };
}

/**
 * An iframe for an address of the stage. The sandbox lets it run and fetch its own modules and models; it cannot leave its
 * frame, open windows or send forms.
 */
export function frameText(address) {
  const asked = new URL(address).searchParams;
  const has = { src: address, title: `Latent Explorer: ${asked.get('left')} and ${asked.get('right')}`, width: '100%', height: 900,
    loading: 'lazy', sandbox: 'allow-scripts allow-same-origin', style: 'border: 0' };
  const text = Object.entries(has).map(([name, value]) => `${name}="${String(value).replace(/[&"<>]/g, (part) => PARTS[part])}"`);
  return `<iframe ${text.join(' ')}></iframe>`;
}
