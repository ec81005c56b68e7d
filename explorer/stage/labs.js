/**
 * Labs: one classic use of autoencoders at a time. Each is a picture that answers at once, from what was computed before,
 * and a run that computes it anew here. Which lab, and what was chosen in it, is in the address.
 */

import { choice, h, setText } from './dom.js';
import { labs } from './lab_list.js';
import { makeLabMaterial } from './lab_material.js';
import { RUN } from './lab_run.js';
import { isDark } from './palette.js';
import { makeQuery } from './query.js';
import { makeCopyLink } from './share.js';

const OWN = ['lab', 'embed', 'embed_options'];

export class Labs {
  /**
   * @param {HTMLElement} host
   * @param {any} given  see explorer/labs/show.py, with the catalogue
   * @param {string|URL} base
   */
  constructor(host, given, base) {
    Object.assign(this, { host, turn: 0, shown: null });
    this.query = makeQuery();
    this.material = makeLabMaterial(given, base, this.query);
    this.readTheme();
    this.build();
    const wanted = new URLSearchParams(location.search).get('lab') ?? labs[0].name;
    const known = labs.some(({ name }) => name === wanted);
    const problem = known ? '' : `There is no lab “${wanted.slice(0, 20)}”. Right would be: ${labs.map(({ name }) => name).join(', ')}.`;
    this.show(known ? wanted : labs[0].name, problem);
  }

  build() {
    this.tabs = choice('Lab', labs.map(({ name, tab }) => ({ value: name, text: tab })), '', (name) => this.go(name));
    this.copyLink = makeCopyLink({ settle: () => this.query.now() });
    this.title = h('h1');
    this.words = h('div', { class: 'prose' });
    this.problem = h('p', { role: 'alert', class: 'problem', hidden: true });
    this.place = h('section', { class: 'lab-place' });
    this.host.classList.add('labs');
    this.host.replaceChildren(h('nav', { class: 'lab-tabs', 'aria-label': 'Labs' }, this.tabs.element, this.copyLink.element), this.problem, this.title, this.words, this.place);
  }

  go(name) {
    if (name === this.name) return;
    const query = new URLSearchParams(location.search);
    for (const key of [...query.keys()]) if (!OWN.includes(key) && !key.startsWith(RUN)) query.delete(key); // runs go on meanwhile
    query.set('lab', name);
    history.replaceState(history.state, '', `${location.pathname}?${query}${location.hash}`);
    this.show(name, '');
  }

  async show(name, problem) {
    const turn = ++this.turn, lab = labs.find((one) => one.name === name);
    this.name = name;
    this.shown?.destroy?.();
    this.shown = null;
    this.tabs.show(name);
    setText(this.title, lab.title);
    this.words.replaceChildren(...lab.words.map((text) => h('p', {}, text)));
    this.problem.hidden = !problem;
    setText(this.problem, problem);
    this.place.replaceChildren(h('p', { class: 'about' }, 'Loading …'));
    this.place.setAttribute('aria-label', lab.title);
    this.host.removeAttribute('data-ready');
    try {
      const made = await lab.make(this.material);
      if (turn !== this.turn) return made.destroy?.();
      this.shown = made;
      this.place.replaceChildren(made.element);
      made.shown?.();
    } catch (error) {
      if (turn === this.turn) this.place.replaceChildren(h('p', { role: 'alert' }, `This lab cannot be shown. ${error.message}`));
    }
    if (turn === this.turn) this.host.dataset.ready = 'true';
  }

  readTheme() {
    this.dark = isDark(getComputedStyle(this.host).backgroundColor);
    this.host.dataset.theme = this.dark ? 'dark' : 'light';
  }

  repaint() {
    this.readTheme();
    this.shown?.repaint?.();
  }

  destroy() {
    this.turn++;
    this.copyLink.stop();
    this.shown?.destroy?.();
    this.host.classList.remove('labs');
  }
}
