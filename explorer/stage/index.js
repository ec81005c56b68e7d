/**
 * The stage as a Streamlit component: mounted once, told again when the theme changes. This file comes from Streamlit's
 * own address, which browsers fetch anew at every visit; the modules come from one they may keep.
 */

/** @type {WeakMap<Element, Promise<import('./stage.js').Stage>>} */
const mounted = new WeakMap();

async function mount(host, { catalogue, modules }) {
  const { Stage } = await import(new URL(`${modules}/stage.js`, document.baseURI));
  return new Stage(host, catalogue, document.baseURI);
}

export default function ({ data, parentElement }) {
  const host = parentElement.querySelector('[data-role="stage"]');
  if (mounted.has(host)) mounted.get(host).then((stage) => stage.repaint());
  else mounted.set(host, mount(host, data));
  return () => {
    mounted.get(host)?.then((stage) => stage.destroy());
    mounted.delete(host);
  };
}
