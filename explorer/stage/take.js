/** What can be taken along of the view: its link, pictures, the walk as a film, codes, and both models as one file. */

import { loadPosterior } from './atlas.js';
import { codesAsCsv } from './csv.js';
import { h, setText } from './dom.js';
import { makeCopyLink } from './share.js';
import { asPng, asXml, makeSheet } from './sheet.js';
import { WALK, walkAsGif } from './walk_gif.js';

/**
 * @param {{stage: import('./stage.js').Stage, base: string|URL, hasServer: boolean, others: (HTMLElement|null)[]}} options
 *     hasServer: whether there is a server of ours, which makes Parquet; others: more to take along, null where it is not
 *     to be had
 */
export function makeTake({ stage, base, hasServer, others }) {
  const status = h('span', { class: 'about', role: 'status' }), codes = h('p', { class: 'tools' });
  const link = stage.address.hasLink ? makeCopyLink({ settle: () => stage.hold(), about: () => aboutLink(stage.models()) }) : null;
  const maker = (text, title, make) => h('button', { type: 'button', title, onclick: () => run(make) }, text);
  let isBusy = false;
  const element = h('section', { class: 'take', 'aria-label': 'Take along' }, h('h2', {}, 'Take along'),
    h('p', { class: 'tools' }, link && link.element,
      maker('PNG', 'Both maps, images, samples and walk as a picture', async () => save(await asPng(await sheet()), `${names().join('-and-')}.png`)),
      maker('SVG', 'The same as vectors', async () => save(new Blob([await sheet()], { type: 'image/svg+xml' }), `${names().join('-and-')}.svg`)),
      maker('Walk as GIF', `${WALK.steps} steps from A to B in both models`, saveWalk), status),
    codes, ...others.filter((one) => one !== null));

  /** Other models stand on the stage. */
  function showModels() {
    codes.replaceChildren(...stage.described().map(({ kind, atlas }) => {
      const table = `Codes of the ${kind}`, parquet = new URL(`codes?${new URLSearchParams({ model: atlas.model.name })}`, base).href;
      return h('span', { class: `codes ${atlas.model.model}` }, h('b', {}, table),
        maker('CSV', `${table}: a row for each of the ${atlas.n.toLocaleString('en')} held-out ${atlas.items.noun}s`, () => saveCodes(atlas)),
        hasServer ? h('a', { href: parquet, download: '', title: `${table} as Parquet` }, 'Parquet') : null);
    }));
  }

  async function sheet() {
    await stage.slices.idle();
    return asXml(makeSheet(stage));
  }

  const names = () => stage.described().map(({ atlas }) => plain(atlas.model.name));

  async function saveCodes(atlas) {
    if (atlas.model.parts.posterior) await loadPosterior(atlas, base);
    save(new Blob([codesAsCsv(atlas, stage.classes())], { type: 'text/csv;charset=utf-8' }), `${plain(atlas.model.name)}-codes.csv`);
  }

  async function saveWalk() {
    const onStep = (done) => setText(status, `${done < WALK.steps ? 'decoding' : 'packing'}: ${(done % WALK.steps) + 1} of ${WALK.steps}`);
    const way = Array.from({ length: WALK.steps }, (_, i) => stage.walk.codesAt(i / (WALK.steps - 1))), name = names().join('-and-');
    save(await walkAsGif({ models: stage.described(), way, onStep }), `${name}-walk.gif`);
  }

  /** One thing at a time; what goes wrong is said. */
  async function run(make) {
    if (isBusy) return;
    isBusy = true;
    setText(status, 'making …');
    try {
      await make();
      setText(status, 'Saved.');
    } catch ({ message }) {
      setText(status, `This could not be made. ${message}`);
    }
    isBusy = false;
  }
  return { element, showModels, stop: () => link?.stop() };
}

function aboutLink(models) {
  if (location.protocol === 'file:') return 'It opens where this file lies. To share the view, pass on the file.';
  if (!models.some(({ parts }) => parts.codes.url.startsWith('mine/'))) return '';
  return 'A model here is your own: the link works for you alone. For others, use “Download as one file”.';
}

/** A name that can be a file's everywhere. */
function plain(name) {
  return name.replace(/[^\w.-]+/g, '-');
}

function save(blob, name) {
  const address = URL.createObjectURL(blob), link = h('a', { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
