/** Bring a picture: a file chosen or dropped, the clipboard, the camera. Nothing of it leaves the browser. */

import { h } from './dom.js';
import { MOST_BYTES, MOST_PIXELS, pictureOf, readPicture } from './picture_file.js';

const WRITTEN_IN = 'textarea, [contenteditable], input:not([type="range"], [type="checkbox"], [type="file"])'; // text is pasted there
const NO_CAMERA = {
  NotAllowedError: 'The browser does not let this page use the camera. Allow it beside the page’s address, or choose a file.',
  NotFoundError: 'No camera was found. Connect one, or choose a file.',
  NotReadableError: 'The camera is in use by another program. Close that one, or choose a file.',
};

/**
 * @param {{place: HTMLElement, onPicture: (picture: import('./picture_file.js').Picture) => void,
 *     onProblem: (sentence: string) => void}} options  place: where files may be dropped
 */
export function makeSource({ place, onPicture, onProblem }) {
  let turn = 0, asked = 0, stream = null;
  const input = h('input', { type: 'file', class: 'only-spoken', tabindex: -1, 'aria-label': 'Choose a picture', accept: 'image/png,image/jpeg,image/webp,image/gif', onchange: () => { take(input.files[0]); input.value = ''; } });
  const button = (text, action) => h('button', { type: 'button', onclick: action }, text);
  const video = h('video', { class: 'camera', autoplay: true, playsinline: true, muted: true, 'aria-label': 'Camera' });
  const camera = button('Camera', openCamera), shutter = button('Take the picture', shoot);
  const finder = h('div', { class: 'finder', hidden: true }, video, h('div', { class: 'picture-tools' }, shutter, button('Close the camera', leaveCamera)));
  const element = h('div', { class: 'source' },
    h('p', {}, 'Drop a picture anywhere here, or paste one.'),
    h('div', { class: 'picture-tools' }, button('Choose a file', () => input.click()), button('Paste', paste), camera, input), finder,
    h('p', { class: 'about' }, `PNG, JPEG, WebP or GIF, at most ${MOST_BYTES / 1e6} MB and ${MOST_PIXELS / 1e6} million pixels. Of moving pictures the first frame. It stays in your browser.`));

  /** The newest picture wins; one that cannot be read changes nothing. name: how sentences call it. */
  async function take(file, name) {
    if (!file) return;
    const mine = ++turn;
    try {
      const picture = await readPicture(file, name);
      if (mine === turn) onPicture(picture);
    } catch ({ message }) {
      if (mine === turn) onProblem(message);
    }
  }

  async function paste() {
    try {
      const items = await navigator.clipboard.read(), item = items.find(({ types }) => types.some(isPicture));
      if (!item) return onProblem('There is no picture in the clipboard. Copy one, then press Paste.');
      take(await item.getType(item.types.find(isPicture)), 'The picture in the clipboard');
    } catch {
      onProblem('The browser does not let this page read the clipboard. Press Ctrl + V (on a Mac ⌘ V) instead.');
    }
  }

  async function openCamera() {
    closeCamera();
    const mine = asked;
    let opened;
    try {
      opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
    } catch ({ name }) {
      return onProblem(NO_CAMERA[name] ?? 'The browser gives no camera to this page. Choose a file.');
    }
    if (mine !== asked) return stopAll(opened); // the page was left, or the button pressed again, while the browser asked
    stream = opened;
    for (const track of stream.getTracks()) track.addEventListener('ended', () => { leaveCamera(); onProblem('The camera has gone. Connect it again, or choose a file.'); });
    video.srcObject = stream;
    finder.hidden = false;
    shutter.focus();
  }

  async function shoot() {
    if (!video.videoWidth) return onProblem('The camera shows nothing yet. Wait a moment, then take the picture.');
    const bitmap = await createImageBitmap(video);
    leaveCamera();
    turn++;
    onPicture(pictureOf(bitmap));
  }

  function leaveCamera() {
    closeCamera();
    camera.focus();
  }

  function closeCamera() {
    asked++;
    stopAll(stream);
    stream = video.srcObject = null;
    finder.hidden = true;
  }

  const held = (isHeld) => element.classList.toggle('awaits', isHeld);
  const listeners = {
    dragover: (event) => {
      event.preventDefault();
      held(true);
    },
    dragleave: ({ relatedTarget }) => { if (!place.contains(relatedTarget)) held(false); },
    drop: (event) => {
      event.preventDefault();
      held(false);
      const file = event.dataTransfer.files[0];
      file ? take(file) : onProblem('What was dropped is not a file. Save the picture first, then drop it here.');
    },
  };
  for (const [type, listener] of Object.entries(listeners)) place.addEventListener(type, listener);
  const pasted = (event) => {
    if (event.composedPath()[0].matches?.(WRITTEN_IN)) return;
    const file = event.clipboardData.files[0];
    file ? take(file) : onProblem('There is no picture in the clipboard. Copy one, then paste it here.');
  };
  document.addEventListener('paste', pasted);

  function destroy() {
    closeCamera();
    turn++;
    document.removeEventListener('paste', pasted);
    for (const [type, listener] of Object.entries(listeners)) place.removeEventListener(type, listener);
  }
  return { element, destroy };
}

const isPicture = (type) => type.startsWith('image/');

function stopAll(stream) {
  stream?.getTracks().forEach((track) => track.stop());
}
