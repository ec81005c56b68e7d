/**
 * Learn: one scene at a time. Text and question on the left, one picture on the right: the stage in a prepared state, or
 * a small picture. Which scene, and what was chosen in each, is in the address.
 *
 * A teacher's address: full=1 fills the screen; hide=text,question,nav leaves parts out.
 */

import { answer } from './claims.js';
import { h, setText } from './dom.js';
import { makeMaterial } from './material.js';
import { isDark } from './palette.js';
import { makeCopyLink } from './share.js';
import { pictures } from './pictures.js';
import { Stage } from './stage.js';

const OWN = ['scene', 'answers', 'full', 'hide', 'embed', 'embed_options'];
const PARTS = ['text', 'question', 'nav'];

export class Learn {
  /**
   * @param {HTMLElement} host
   * @param {any} lessons  see explorer/scenes.py, with the catalogue
   * @param {string|URL} base
   */
  constructor(host, lessons, base) {
    Object.assign(this, { host, lessons, base, scenes: lessons.scenes, turn: 0, shown: [] });
    this.material = makeMaterial(lessons, base);
    this.readTheme();
    this.readAddress();
    this.build();
    this.show();
  }

  // --- the address ------------------------------------------------------------------------------------------------

  readAddress() {
    const query = new URLSearchParams(location.search);
    const number = Number(query.get('scene') ?? 1);
    const known = Number.isInteger(number) && number >= 1 && number <= this.scenes.length;
    this.problem = known ? '' : `There is no scene “${String(query.get('scene')).slice(0, 20)}”: they are numbered 1 to ${this.scenes.length}.`;
    this.at = known ? number - 1 : 0;
    const answers = (query.get('answers') ?? '').slice(0, this.scenes.length).split('');
    this.answers = this.scenes.map(({ choices }, i) => (/^[1-9]$/.test(answers[i] ?? '') && Number(answers[i]) <= choices.length ? Number(answers[i]) - 1 : null));
    this.full = query.get('full') === '1';
    this.hidden = (query.get('hide') ?? '').split(',').filter((part) => PARTS.includes(part));
  }

  /** What the scene is, what was answered; and where the stage is prepared, its state unless the address has its own. */
  writeAddress({ fresh }) {
    const query = new URLSearchParams(location.search);
    if (fresh) for (const key of [...query.keys()]) if (!OWN.includes(key)) query.delete(key);
    for (const [key, value] of Object.entries(this.scenes[this.at].stage ?? {})) if (!query.has(key)) query.set(key, value);
    const set = (key, value) => (value ? query.set(key, value) : query.delete(key));
    query.set('scene', String(this.at + 1));
    set('answers', this.answers.some((one) => one !== null) ? this.answers.map((one) => (one === null ? '-' : one + 1)).join('') : '');
    set('full', this.full ? '1' : '');
    history.replaceState(history.state, '', `${location.pathname}?${query.toString().replaceAll('%2C', ',')}${location.hash}`);
  }

  // --- parts ------------------------------------------------------------------------------------------------------

  build() {
    this.where = h('p', { class: 'about where' });
    this.title = h('h1', { tabindex: -1 });
    this.text = h('div', { class: 'prose' });
    this.questionPlace = h('section', { class: 'question', 'aria-label': 'Before you look' });
    this.more = h('div', { class: 'prose' });
    this.hints = h('div', { class: 'hints' });
    this.picture = h('section', { class: 'scene-picture', 'aria-label': 'Picture' });
    const button = (text, action) => h('button', { type: 'button', onclick: action }, text);
    this.fullButton = button('Full screen', () => this.toggleFull());
    this.copyLink = makeCopyLink({ settle: () => this.shown.forEach((one) => one.hold?.()) });
    this.back = button('', () => this.go(this.at - 1));
    this.next = button('', () => this.go(this.at + 1));
    this.dots = h('ol', { class: 'dots' }, ...this.scenes.map((scene, i) => h('li', {},
      h('button', { type: 'button', class: 'bare', 'aria-label': `Scene ${i + 1}: ${scene.title}`, title: scene.title, onclick: () => this.go(i) }))));
    this.nav = h('nav', { class: 'scene-nav', 'aria-label': 'Scenes' }, this.back, this.dots, this.next);
    this.host.classList.add('learn');
    this.host.replaceChildren(
      h('header', { class: 'learn-top' }, this.where, h('span', { class: 'buttons' }, this.fullButton, this.copyLink.element)),
      h('div', { class: 'scene' },
        h('div', { class: 'scene-words' }, this.title, this.text, this.questionPlace, this.more, this.hints), this.picture),
      this.nav);
    this.host.addEventListener('keydown', this.onKey = (event) => this.keyed(event));
    document.addEventListener('fullscreenchange', this.onFull = () => { if (!document.fullscreenElement) this.showFull(); });
  }

  // --- one scene --------------------------------------------------------------------------------------------------

  go(to) {
    if (to < 0 || to >= this.scenes.length || to === this.at) return;
    this.at = to;
    this.problem = '';
    this.writeAddress({ fresh: true });
    this.show();
    this.title.focus({ preventScroll: true });
    this.host.scrollIntoView({ block: 'start' });
  }

  show() {
    const scene = this.scenes[this.at], last = this.scenes.length - 1;
    this.turn++;
    this.writeAddress({ fresh: false });
    setText(this.where, `${this.at + 1} of ${this.scenes.length}`);
    setText(this.title, scene.title);
    const [before, after] = scene.text;
    this.text.replaceChildren(...(this.problem ? [h('p', { role: 'alert', class: 'problem' }, this.problem)] : []), h('p', {}, before));
    this.more.replaceChildren(h('p', {}, after));
    this.hints.replaceChildren(h('p', {}, h('b', {}, 'Try: '), scene.tries), h('p', {}, h('b', {}, 'Look at: '), scene.look));
    setText(this.back, this.at > 0 ? `← ${this.scenes[this.at - 1].title}` : '');
    setText(this.next, this.at < last ? `${this.scenes[this.at + 1].title} →` : '');
    this.back.hidden = this.at === 0;
    this.next.hidden = this.at === last;
    [...this.dots.querySelectorAll('button')].forEach((dot, i) => {
      dot.setAttribute('aria-current', i === this.at ? 'step' : 'false');
      dot.classList.toggle('answered', this.answers[i] !== null);
    });
    for (const [part, elements] of Object.entries({ text: [this.text], question: [this.questionPlace], nav: [this.nav] })) {
      for (const element of elements) element.hidden = this.hidden.includes(part);
    }
    this.showFull();
    this.ask();
    this.showPicture();
  }

  // --- the question -----------------------------------------------------------------------------------------------

  /** Choices to press, and the answer once one was made and asked for. */
  ask() {
    const scene = this.scenes[this.at], chosen = this.answers[this.at], name = `choice-${this.at}`;
    const radios = scene.choices.map((text, i) => h('label', { class: 'answer' },
      h('input', { type: 'radio', name, value: i, checked: i === chosen, onchange: () => { showMe.disabled = false; } }), h('span', {}, text)));
    const showMe = h('button', { type: 'button', class: 'strong', disabled: chosen === null, onclick: () => this.choose(radios.findIndex((radio) => radio.firstChild.checked)) }, 'Show me');
    this.result = h('div', { class: 'result', role: 'status' });
    this.questionPlace.replaceChildren(h('fieldset', {}, h('legend', {}, h('b', {}, `Before you look: ${scene.question}`)), ...radios), showMe, this.result);
    if (chosen !== null) this.reveal();
  }

  choose(chosen) {
    this.answers[this.at] = chosen;
    this.dots.querySelectorAll('button')[this.at].classList.add('answered');
    this.writeAddress({ fresh: false });
    this.reveal();
  }

  /** Compute the answer, and say which choice it makes right. */
  async reveal() {
    const turn = this.turn, scene = this.scenes[this.at], chosen = this.answers[this.at];
    const tell = (text) => { if (turn === this.turn) this.result.replaceChildren(h('p', { class: 'about' }, text)); };
    tell('Computing …');
    let found;
    try {
      found = await answer(scene, this.material, tell);
    } catch ({ message }) {
      tell(`This could not be computed. ${message}`);
      return;
    }
    if (turn !== this.turn) return;
    const { right, says } = found;
    this.result.replaceChildren(
      h('p', { class: 'verdict' }, h('b', {}, chosen === right ? '✓ As you thought: ' : '✗ Not as you thought: '), `${scene.choices[right]}.`),
      ...says.map((text) => h('p', {}, text)));
    this.result.dataset.right = String(right + 1);
    this.open();
  }

  /** What would give the answer away is hidden until it is given; a teacher who hides the question hides nothing else. */
  isClosed() {
    return this.answers[this.at] === null && !this.hidden.includes('question');
  }

  open() {
    this.showWords(false);
    if (!this.picture.classList.contains('closed')) return;
    this.picture.classList.remove('closed');
    for (const one of this.shown) one.opened?.();
    const stage = this.picture.querySelector('[data-role="scene-stage"]');
    if (stage) stage.dataset.hide = this.scenes[this.at].hide;
  }

  showWords(closed) {
    this.more.hidden = closed || this.hidden.includes('text');
    this.hints.hidden = closed || this.hidden.includes('question');
  }

  // --- the picture ------------------------------------------------------------------------------------------------

  async showPicture() {
    const turn = this.turn, scene = this.scenes[this.at];
    for (const one of this.shown) one.destroy?.();
    this.shown = [];
    this.picture.removeAttribute('data-ready');
    const closed = this.isClosed();
    this.picture.classList.toggle('closed', closed);
    this.showWords(closed);
    const place = h('div', {}, h('p', { class: 'about' }, 'Loading …'));
    this.picture.replaceChildren(...(scene.stage ? [this.makeStage(scene, closed)] : []), ...(scene.picture ? [place] : []));
    if (!scene.picture) return;
    try {
      const made = await pictures[scene.picture](this.material);
      if (turn !== this.turn) return made.destroy?.();
      this.shown.push(made);
      place.replaceChildren(made.element);
      if (!scene.stage) this.picture.dataset.ready = 'true';
      if (!this.picture.classList.contains('closed')) made.opened?.();
    } catch ({ message }) {
      if (turn === this.turn) place.replaceChildren(h('p', { role: 'alert' }, `This picture cannot be shown. ${message}`));
    }
  }

  makeStage(scene, closed) {
    const host = h('div', { class: 'stage', 'data-hide': closed ? `${scene.hide} ${scene.later}` : scene.hide, 'data-role': 'scene-stage' });
    this.picture.append(host); // it reads its colours as it is made
    this.shown.push(new Stage(host, this.lessons.catalogue, this.base));
    return host;
  }

  // --- the page ---------------------------------------------------------------------------------------------------

  keyed(event) {
    const inside = event.composedPath()[0];
    if (event.altKey || event.ctrlKey || event.metaKey || inside.matches?.('input, select, textarea, [role="application"], [role="slider"], [role="radio"]')) return;
    if (event.key === 'PageDown') this.go(this.at + 1);
    else if (event.key === 'PageUp') this.go(this.at - 1);
    else if (event.key === 'Escape' && this.full) this.toggleFull();
    else return;
    event.preventDefault();
  }

  async toggleFull() {
    this.full = !this.full;
    this.writeAddress({ fresh: false });
    this.showFull();
    if (!this.full && document.fullscreenElement) await document.exitFullscreen();
    else if (this.full) await document.documentElement.requestFullscreen?.().catch(() => {}); // some hosts forbid it: filling the page is what is left
  }

  showFull() {
    this.host.classList.toggle('fills', this.full);
    this.fullButton.setAttribute('aria-pressed', String(this.full));
    setText(this.fullButton, this.full ? 'Leave full screen' : 'Full screen');
  }

  readTheme() {
    this.dark = isDark(getComputedStyle(this.host).backgroundColor);
    this.host.dataset.theme = this.dark ? 'dark' : 'light';
  }

  repaint() {
    this.readTheme();
    for (const one of this.shown) one.repaint?.();
  }

  destroy() {
    this.turn++;
    this.copyLink.stop();
    for (const one of this.shown) one.destroy?.();
    this.host.removeEventListener('keydown', this.onKey);
    document.removeEventListener('fullscreenchange', this.onFull);
    this.host.classList.remove('learn', 'fills');
  }
}
