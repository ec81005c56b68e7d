/**
 * The stage in the cell of a notebook, as anywidget wants it; explorer/notebook.py says what the model holds. The modules
 * are the app's own. A notebook has no folder of them, so each gets an address here, as each part of the atlases does.
 */

const IMPORT = /(?<=\bfrom ')[\w.]+(?=';)/g;
const TELL_MS = 100;
const LIGHT = { '--st-background-color': '#fbfcfe', '--st-text-color': '#1b2230', '--st-secondary-background-color': '#f1f4f9' };
const DARK = { '--st-background-color': '#12161e', '--st-text-color': '#e8ecf3', '--st-secondary-background-color': '#1b212c' };
/** Nothing of the notebook's styles comes in, and messages stay in the cell. */
const AROUND = ':host { all: initial; --accent: initial; display: block; } .stage { box-sizing: border-box; padding: 12px; border-radius: 10px; } .notices { position: sticky; inset: 8px 0 auto; }';

async function render({ model, el }) {
  const host = document.createElement('div'), place = document.createElement('div'), styles = document.createElement('style');
  host.addEventListener('keydown', (event) => event.stopPropagation()); // to Jupyter, b with a button in focus is a new cell
  styles.textContent = `${model.get('styles')}\n${AROUND}`;
  place.className = 'stage';
  place.dataset.role = 'stage';
  if (model.get('height')) Object.assign(place.style, { height: `${model.get('height')}px`, overflow: 'auto' });
  host.attachShadow({ mode: 'open' }).append(styles, place);
  el.append(host);

  const addresses = keepAddresses();
  const [{ Stage }, { isDark }] = await modulesOf(model.get('modules'), ['stage.js', 'palette.js']);
  const showTheme = (dark) => Object.entries(dark ? DARK : LIGHT).forEach(([name, value]) => place.style.setProperty(name, value));
  showTheme(isInDark(el, isDark));
  const files = Object.fromEntries(Object.entries(model.get('files')).map(([name, { type, content }]) => [name, addresses.add(content, type)]));
  const catalogue = JSON.parse(JSON.stringify(model.get('catalogue')), (key, value) => (key === 'url' && typeof value === 'string' ? files[value] : value));
  const teller = makeTeller(model, () => stage);
  const address = { query: '', write: teller.soon, now: teller.soon, hasLink: false, stop: teller.stop };
  const stage = new Stage(place, catalogue, document.baseURI, { address, onProbe: teller.soon });
  const unwatch = watchTheme(() => isInDark(el, isDark), (dark) => { showTheme(dark); stage.repaint(); });
  return () => {
    unwatch();
    teller.stop();
    stage.destroy();
    addresses.revoke();
    host.remove();
  };
}

/** Modules by name out of their texts, in which each imports others by their bare names. */
async function modulesOf(texts, names) {
  const addresses = keepAddresses(), made = {};
  const address = (name) => (made[name] ??= addresses.add(texts[name].replace(IMPORT, address), 'text/javascript'));
  const modules = await Promise.all(names.map((name) => import(address(name))));
  addresses.revoke();
  return modules;
}

function keepAddresses() {
  const made = [];
  return {
    add(content, type) {
      made.push(URL.createObjectURL(new Blob([content], { type })));
      return made.at(-1);
    },
    revoke: () => made.forEach((address) => URL.revokeObjectURL(address)),
  };
}

/** Tells Python where the probes are and what the view is, not more often than a kernel likes to hear it. */
function makeTeller(model, stage) {
  let timer = 0;
  const tell = () => {
    timer = 0;
    const { state, panels } = stage();
    const sides = [panels.left, panels.right];
    if (sides.some(({ atlas, z }) => !atlas || !z)) return;
    model.set('models', sides.map(({ atlas }) => atlas.model.name));
    model.set('z', sides.map(({ z }) => Array.from(Float32Array.from(z))));
    model.set('query', stage().pairAndView());
    model.save_changes();
  };
  return { soon: () => { timer ||= setTimeout(tell, TELL_MS); }, stop: () => clearTimeout(timer) };
}

// --- the theme ------------------------------------------------------------------------------------------------------

/** Whether the cell lies on something dark: the nearest background that hides what is behind it, else the text tells. */
function isInDark(element, isDark) {
  for (let node = element; node; node = node.parentElement ?? node.getRootNode().host) {
    const { backgroundColor } = getComputedStyle(node);
    if (!/^transparent|^rgba|\//.test(backgroundColor)) return isDark(backgroundColor);
  }
  return !isDark(getComputedStyle(element).color);
}

/** Notebooks change their theme by an attribute of the page and the styles it chooses, or follow the system's. */
function watchTheme(look, changed) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  let dark = look();
  const check = () => {
    const now = look();
    if (now !== dark) changed(dark = now);
  };
  const watcher = new MutationObserver(check);
  for (const element of [document.documentElement, document.body]) watcher.observe(element, { attributes: true });
  system.addEventListener('change', check);
  return () => {
    watcher.disconnect();
    system.removeEventListener('change', check);
  };
}

export default { render };
