/** The film of a training: a scrubber over its moments, which plays them and goes back to the live picture. */

import { h, setText } from './dom.js';

const FRAMES_A_SECOND = 8;

/**
 * @param {{onFrame: (index: number|null) => Promise<void>, gif: string}} options  onFrame(null): the newest, and follow; gif: its address
 */
export function makeFilm({ onFrame, gif }) {
  const range = h('input', { type: 'range', min: 0, max: 0, value: 0, step: 1, 'aria-label': 'Moment of the training' });
  const play = h('button', { type: 'button' }, '▶ Play the film');
  const live = h('button', { type: 'button' }, 'Newest');
  const where = h('span', { class: 'about' });
  const element = h('div', { class: 'film', hidden: true }, play, range, where, live,
    h('a', { href: gif, download: 'training.gif' }, 'Save as GIF'));
  let epochs = [], following = true, playing = false;

  function tell(index) {
    setText(where, `epoch ${(epochs[index] ?? 0).toFixed(2)}${following ? ' (newest)' : ''}`);
    range.setAttribute('aria-valuetext', where.textContent);
    live.disabled = following;
  }

  /** There are so many moments now. */
  function grow(newEpochs) {
    epochs = newEpochs;
    element.hidden = epochs.length < 3;
    range.max = String(epochs.length - 1);
    if (following) range.value = range.max;
    tell(Number(range.value));
  }

  async function go(index) {
    following = false;
    range.value = String(index);
    tell(index);
    await onFrame(index);
  }

  function follow() {
    stop();
    following = true;
    range.value = range.max;
    tell(Number(range.max));
    onFrame(null);
  }

  function stop() {
    playing = false;
    setText(play, '▶ Play the film');
  }

  async function run() {
    playing = true;
    setText(play, '■ Stop');
    let index = Number(range.value) >= epochs.length - 1 ? 0 : Number(range.value);
    while (playing && index < epochs.length) {
      const until = performance.now() + 1000 / FRAMES_A_SECOND;
      await go(index++);
      await new Promise((done) => setTimeout(done, Math.max(0, until - performance.now())));
    }
    stop();
  }

  range.addEventListener('keydown', (event) => event.stopPropagation());
  range.addEventListener('input', () => {
    stop();
    go(Number(range.value));
  });
  play.addEventListener('click', () => (playing ? stop() : run()));
  live.addEventListener('click', follow);
  return { element, grow, stop };
}
