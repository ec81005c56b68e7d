/** Anomalies: heartbeats or images. */

import { choice, h } from './dom.js';
import { makeHeartbeats } from './lab_heartbeats.js';
import { makeOdd } from './lab_odd.js';

const PARTS = [{ value: 'heartbeats', text: 'Heartbeats', make: makeHeartbeats }, { value: 'images', text: 'Images', make: makeOdd }];

export async function makeAnomalies(material) {
  const place = h('div'), names = PARTS.map(({ value }) => value);
  let shown = null, turn = 0;
  const parts = choice('Look for', PARTS, '', show);

  async function show(name) {
    const mine = ++turn;
    parts.show(name);
    material.query.set({ of: name });
    const made = await PARTS.find(({ value }) => value === name).make(material).catch(({ message }) => ({ element: h('p', { role: 'alert' }, `This cannot be shown. ${message}`) }));
    if (mine !== turn) return made.destroy?.();
    shown?.destroy?.();
    shown = made;
    place.replaceChildren(made.element);
  }
  await show(material.query.one('of', names));
  return { element: h('div', { class: 'lab' }, h('div', { class: 'picture-tools' }, parts.element), place), destroy: () => { turn++; shown?.destroy?.(); } };
}
