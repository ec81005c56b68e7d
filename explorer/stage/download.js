/** The stage as it stands, to take along: a link to one file with both models in it, which the server makes. */

import { h, setText } from './dom.js';

/**
 * @param {{base: string|URL, query: () => string}} options  query: the models and the view, as the server wants them
 * @returns {{element: HTMLElement, show: (models: any[]) => void}} show: say which models stand there
 */
export function makeDownload({ base, query }) {
  const address = () => new URL(`onefile?${query()}`, base).href;
  // A page of its own: should there be no file, its sentence does not take the place of this page.
  const link = h('a', { href: '', target: '_blank', onclick: () => { link.href = address(); } }, 'Download as one file');
  const offer = h('span', {}, link, ' Both models and this view in an HTML file. It needs no server and no network.');
  const refusal = h('span', { class: 'about', hidden: true });

  function show(models) {
    const served = models.find(({ decode }) => decode);
    [offer.hidden, refusal.hidden] = [Boolean(served), !served];
    setText(refusal, served ? `One file of both is not to be had: ${served.name} is decoded on the server.` : '');
  }
  return { element: h('p', { class: 'about' }, offer, refusal), show };
}
