/** The page's address, to give to someone: a button that copies it, or, where the browser refuses, shows it to be copied. */

import { h, setText } from './dom.js';

const SHOWN_MS = 6000;

/**
 * @param {{settle?: () => void, about?: () => string}} options  settle: have the whole view in the address; about: what
 *     has to be known of the link, "" where it shows the same to everyone
 */
export function makeCopyLink({ settle = () => {}, about = () => '' }) {
  const button = h('button', { type: 'button', onclick: copy }, 'Copy link');
  const field = h('input', { type: 'text', readonly: true, hidden: true, 'aria-label': 'Link to this view', onfocus: () => field.select() });
  const said = h('span', { class: 'about', role: 'status' });
  field.addEventListener('keydown', (event) => event.stopPropagation());
  let timer = 0;

  async function copy() {
    settle();
    const address = location.href;
    try {
      await navigator.clipboard.writeText(address);
      field.hidden = true;
      tell('Copied.');
    } catch {
      field.value = address;
      field.hidden = false;
      field.focus();
      tell('The browser did not let this page copy. The link is selected: copy it from there.');
    }
  }

  function tell(text) {
    const more = about();
    setText(said, `${text}${more && ` ${more}`}`);
    clearTimeout(timer);
    if (!more && field.hidden) timer = setTimeout(() => setText(said, ''), SHOWN_MS);
  }
  return { element: h('span', { class: 'copy-link' }, button, field, said), stop: () => clearTimeout(timer) };
}
