/** A lab's run on the server: a button, a bar with the time left, stop. News comes as server-sent events. */

import { h, setText } from './dom.js';
import { listenTo } from './listen.js';

export const RUN = 'run-'; // how a run is called in the address

/**
 * @param {object} options
 * @param {string} options.lab
 * @param {any} options.material
 * @param {string} options.text  on the button
 * @param {() => Record<string, any>} options.settings
 * @param {() => Promise<Blob|null>} [options.file]
 * @param {(step: any, arrays: any) => void} [options.onStep]
 * @param {(result: {record: any, arrays: any}) => void} options.onResult
 * @param {() => void} [options.onBack]  show the shipped result again; without it there is none
 */
export function makeRun({ lab, material, text, settings, file, onStep, onResult, onBack }) {
  const { base, query } = material, key = `${RUN}${lab}`;
  let source = null, id = '', started = 0, first = null, fetching = null, newest = null;
  const start = h('button', { type: 'button', class: 'strong', onclick: begin }, text);
  const stop = h('button', { type: 'button', hidden: true, onclick: () => post(`jobs/${id}/stop`, { body: '{"keep": false}' }) }, 'Stop');
  const back = h('button', { type: 'button', hidden: true, onclick: goBack }, 'Back to the shipped one');
  const bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': 'Progress' });
  const said = h('p', { class: 'about', role: 'status' });
  const element = h('div', { class: 'lab-run' }, h('div', { class: 'picture-tools' }, start, stop, back, bar), said);
  if (query.text(key)) listen(query.text(key));

  async function post(path, options = {}) {
    const response = await fetch(new URL(path, base), { method: 'POST', ...options });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.problem ?? `The server answered ${response.status}.`);
    return answer;
  }

  async function begin() {
    start.disabled = true;
    setText(said, 'Starting …');
    try {
      const body = file ? await file() : undefined;
      const answer = await post(`labs/${lab}/run?settings=${encodeURIComponent(JSON.stringify(settings()))}`, { body });
      query.set({ [key]: answer.id });
      listen(answer.id);
    } catch (error) {
      start.disabled = false;
      setText(said, error instanceof TypeError ? 'The server does not answer. Check the connection, then try again.' : error.message);
    }
  }

  function listen(wanted) {
    id = wanted;
    started = 0;
    first = newest = null;
    start.disabled = true;
    source = listenTo(new URL(`jobs/${id}/events`, base), {
      hear,
      waiting: (known) => setText(said, known
        ? 'The connection is lost; the run goes on, and so will this page when it is back.'
        : 'The server that computes does not answer. It may be starting again: this page asks for five minutes.'),
      none: () => {
        query.set({ [key]: null });
        rest('');
      },
    });
  }

  function hear(news) {
    if (news.kind === 'state') heardState(news);
    else if (news.kind === 'step') heardStep(news);
    else if (news.kind === 'result') finish(news.sent);
    else if (news.kind === 'failed') rest(news.text);
    else if (news.kind === 'warning') setText(said, news.text);
  }

  function heardState({ state, place, sent }) {
    stop.hidden = state !== 'waiting' && state !== 'training';
    if (state === 'waiting') setText(said, `Waiting: place ${place} in the queue.`);
    if (state === 'training') {
      started = sent;
      first = null; // a run that was cut off begins anew
      setText(said, 'Starting …');
    }
    if (state === 'stopped') rest('Stopped. Nothing was changed.');
    if (state === 'failed' && said.textContent === 'Starting …') rest('This ended by itself. Try again.');
  }

  function heardStep(news) {
    bar.hidden = false;
    bar.value = news.done / news.total;
    first ??= news; // what came before it was not the work itself
    const steps = news.done - first.done, left = steps > 0 ? ((news.sent - first.sent) / steps) * (news.total - news.done) : null;
    setText(said, `${news.text}${left === null ? '' : `, about ${Math.max(1, Math.round(left))} s left`}`);
    newest = news;
    if (onStep && news.arrays) showNewest();
  }

  /** Fetch what a step has to show, always the newest. */
  async function showNewest() {
    if (fetching) return;
    while (newest && fetching !== newest) {
      fetching = newest;
      const arrays = await material.fetchArrays(`labs/runs/${id}/${fetching.arrays}`).catch(() => null);
      if (arrays && newest) onStep(fetching, arrays);
    }
    fetching = null;
  }

  async function finish(ended) {
    const mine = id;
    newest = null;
    try {
      const [record, arrays] = await Promise.all([
        fetch(new URL(`labs/runs/${mine}/result.json`, base)).then((response) => response.json()),
        material.fetchArrays(`labs/runs/${mine}/result.safetensors`)]);
      if (mine !== id) return;
      rest(started ? `Done in ${Math.max(1, Math.round(ended - started))} s.` : 'Done.');
      back.hidden = !onBack;
      onResult({ record, arrays });
    } catch {
      rest('The result could not be fetched. Try again.');
    }
  }

  function goBack() {
    back.hidden = true;
    query.set({ [key]: null });
    setText(said, '');
    onBack();
  }

  function rest(text) {
    newest = null;
    start.disabled = false;
    stop.hidden = bar.hidden = true;
    setText(said, text);
  }
  return { element, start: begin, destroy: () => source?.close() };
}
