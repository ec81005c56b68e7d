/**
 * The stage as a Streamlit component: mounted once, told again when the theme changes. This file comes from Streamlit's
 * own address, which browsers fetch anew at every visit; the modules come from one they may keep.
 */

/** @type {WeakMap<Element, Promise<import('./stage.js').Stage>>} */
const mounted = new WeakMap();

/** Streamlit fetches the styles beside this module; colours read before they are here would be the wrong ones. */
async function styled(host) {
  while (host.isConnected && !getComputedStyle(host).getPropertyValue('--paper')) await new Promise(requestAnimationFrame);
}

async function mount(host, { catalogue, modules }) {
  const [{ Stage }] = await Promise.all([import(new URL(`${modules}/stage.js`, document.baseURI)), styled(host)]);
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
