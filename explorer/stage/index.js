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

/** Stands where something should that cannot be shown. */
const nothing = { repaint() {}, destroy() {} };

/** What is on the page then is a sentence, never an empty frame. */
function say(host, sentence) {
  const told = document.createElement('p');
  told.setAttribute('role', 'alert');
  told.textContent = sentence;
  host.textContent = '';
  host.append(told);
  return nothing;
}

async function mount(host, data) {
  const address = (name) => new URL(`${data.modules}/${name}.js`, document.baseURI);
  const coming = import(address(nameOf(data)));
  coming.catch(() => {}); // told below
  try {
    const { lacking, whyNot } = await import(address('needs'));
    if (lacking()) return say(host, lacking());
    try {
      const [module] = await Promise.all([coming, styled(host)]);
      return make(host, module, data);
    } catch (error) {
      console.error(error);
      return say(host, whyNot(error));
    }
  } catch {
    return say(host, 'The server does not answer. Check the connection, then reload the page.');
  }
}

/** The module that shows these data. */
function nameOf({ training, lessons, labs, yours, report }) {
  return training ? 'live' : lessons ? 'learn' : labs ? 'labs' : yours ? 'yours' : report ? 'report' : 'stage';
}

function make(host, { Stage, Live, Learn, Labs, Yours, Report }, { catalogue, training, lessons, labs, yours, report }) {
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
