/** Bring a picture: a file chosen or dropped, the clipboard, the camera. Nothing of it leaves the browser. */

import { h } from './dom.js';
import { MOST_BYTES, MOST_PIXELS, pictureOf, readPicture } from './picture_file.js';

/**
 * @param {{place: HTMLElement, onPicture: (picture: import('./picture_file.js').Picture) => void,
 *     onProblem: (sentence: string) => void}} options  place: where files may be dropped
 */
export function makeSource({ place, onPicture, onProblem }) {
  let turn = 0, stream = null;
  const input = h('input', { type: 'file', class: 'only-spoken', tabindex: -1, 'aria-label': 'Choose a picture', accept: 'image/png,image/jpeg,image/webp,image/gif', onchange: () => { take(input.files[0]); input.value = ''; } });
  const button = (text, action) => h('button', { type: 'button', onclick: action }, text);
  const video = h('video', { class: 'camera', playsinline: true, muted: true, 'aria-label': 'Camera' });
  const finder = h('div', { class: 'finder', hidden: true }, video, h('div', { class: 'picture-tools' }, button('Take the picture', shoot), button('Close the camera', closeCamera)));
  const element = h('div', { class: 'source' },
    h('p', {}, 'Drop a picture anywhere here, or paste one.'),
    h('div', { class: 'picture-tools' }, button('Choose a file', () => input.click()), button('Paste', paste), button('Camera', openCamera), input), finder,
    h('p', { class: 'about' }, `PNG, JPEG, WebP or GIF, at most ${MOST_BYTES / 1e6} MB and ${MOST_PIXELS / 1e6} million pixels. Of moving pictures the first frame. It stays in your browser.`));

  /** The newest picture wins; one that cannot be read changes nothing. */
  async function take(file) {
    if (!file) return;
    const mine = ++turn;
    try {
      const picture = await readPicture(file);
      if (mine === turn) onPicture(picture);
    } catch ({ message }) {
      if (mine === turn) onProblem(message);
    }
  }

  async function paste() {
    try {
      const items = await navigator.clipboard.read(), item = items.find(({ types }) => types.some((type) => type.startsWith('image/')));
      if (!item) return onProblem('There is no picture in the clipboard. Copy one, then press Paste.');
      take(await item.getType(item.types.find((type) => type.startsWith('image/'))));
    } catch {
      onProblem('The browser does not let this page read the clipboard. Press Ctrl + V (on a Mac ⌘ V) instead.');
    }
  }

  async function openCamera() {
    closeCamera();
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
    } catch {
      return onProblem('The browser gives no camera to this page. Allow it, or choose a file.');
    }
    video.srcObject = stream;
    finder.hidden = false;
    await video.play();
  }

  async function shoot() {
    if (!video.videoWidth) return onProblem('The camera shows nothing yet. Wait a moment, then take the picture.');
    onPicture(pictureOf(await createImageBitmap(video)));
    closeCamera();
  }

  function closeCamera() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    finder.hidden = true;
  }

  const listeners = {
    dragover: (event) => event.preventDefault(),
    drop: (event) => {
      event.preventDefault();
      const file = event.dataTransfer.files[0];
      file ? take(file) : onProblem('What was dropped is not a file. Save the picture first, then drop it here.');
    },
  };
  for (const [type, listener] of Object.entries(listeners)) place.addEventListener(type, listener);
  const pasted = ({ clipboardData }) => {
    const file = clipboardData.files[0];
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
