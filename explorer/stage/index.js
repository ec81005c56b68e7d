/** The stage as a Streamlit component: mounted once, told again when data or theme change. */

import { Stage } from './stage.js';

/** @type {WeakMap<Element, Stage>} */
const mounted = new WeakMap();

export default function ({ data, parentElement }) {
  const host = parentElement.querySelector('[data-role="stage"]');
  if (mounted.has(host)) mounted.get(host).repaint();
  else mounted.set(host, new Stage(host, data, document.baseURI));
  return () => {
    mounted.get(host)?.destroy();
    mounted.delete(host);
  };
}
