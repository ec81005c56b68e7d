/**
 * The stage as a Streamlit component: mounted once, told again when the theme changes. This file comes from Streamlit's
 * own address, which browsers fetch anew at every visit; the modules come from one they may keep.
 */

/** @type {WeakMap<Element, Promise<import('./stage.js').Stage>>} */
const mounted = new WeakMap();
/** @type {WeakMap<Element, string>} */
const subjects = new WeakMap();

/** Streamlit fetches the styles beside this module; colours read before they are here would be the wrong ones. */
async function styled(host) {
  while (host.isConnected && !getComputedStyle(host).getPropertyValue('--paper')) await new Promise(requestAnimationFrame);
}

async function mount(host, { catalogue, training, lessons, labs, yours, report, modules }) {
  const name = training ? 'live' : lessons ? 'learn' : labs ? 'labs' : yours ? 'yours' : report ? 'report' : 'stage';
  const [{ Stage, Live, Learn, Labs, Yours, Report }] = await Promise.all([import(new URL(`${modules}/${name}.js`, document.baseURI)), styled(host)]);
  if (training) return new Live(host, training, document.baseURI);
  if (labs) return new Labs(host, { ...labs, catalogue }, document.baseURI);
  if (yours) return new Yours(host, catalogue, document.baseURI);
  if (report) return new Report(host, report);
  return lessons ? new Learn(host, { ...lessons, catalogue }, document.baseURI) : new Stage(host, catalogue, document.baseURI);
}

/** Which training or report it is. */
function subjectOf({ training, report }) {
  return training?.id ?? (report ? JSON.stringify(report) : '');
}

/** What is mounted shows another training, or another report, when there is one. */
function remount(host, data) {
  mounted.get(host)?.then((shown) => shown.destroy());
  subjects.set(host, subjectOf(data));
  mounted.set(host, mount(host, data));
}

export default function ({ data, parentElement }) {
  const host = parentElement.querySelector('[data-role="stage"]');
  if (mounted.has(host) && subjects.get(host) === subjectOf(data)) mounted.get(host).then((shown) => shown.repaint());
  else remount(host, data);
  return () => {
    mounted.get(host)?.then((shown) => shown.destroy());
    mounted.delete(host);
  };
}
