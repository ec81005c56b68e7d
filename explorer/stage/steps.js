/** The way from a picture to what the models see: a small picture a step, each with its switch. */

import { OFF } from './bring.js';
import { h, paint, pictureCanvas, setText } from './dom.js';

const STEPS = [
  { name: 'grey', text: 'Grey', title: 'Colours to how light they are.' },
  { name: 'invert', text: 'Invert', title: 'Light for dark. On by itself where a data set is light on dark and the ground is light.' },
  { name: 'contrast', text: 'Contrast', title: 'The ground to black, the ink to white.' },
  { name: 'crop', text: 'Crop', title: 'To the smallest box that holds what stands out from the ground.' },
  { name: 'scale', text: 'Scale' },
  { name: 'centre', text: 'Centre' },
];
export const SEEN = 'What the models see';

/** @param {{onChange: () => void}} options */
export function makeSteps({ onChange }) {
  const wanted = { ...OFF };
  const made = STEPS.map(({ name, text, title }) => {
    const canvas = pictureCanvas(name === 'centre' ? SEEN : `After ${text.toLowerCase()}`, { width: 28, height: 28, className: 'sharp' });
    const box = h('input', { type: 'checkbox', onchange: () => { wanted[name] = box.checked; onChange(); } });
    const label = h('label', { title }, box, text);
    return { name, canvas, box, label, element: h('figure', { class: 'step' }, canvas, h('figcaption', {}, label)) };
  });
  const [grey, , , , scale, centre] = made;
  const ground = h('p', { class: 'about' });
  const element = h('div', {}, h('div', { class: 'steps', role: 'group', 'aria-label': 'Steps' }, ...made.map((step) => step.element)), ground);

  /** Other models: what their data set asks of a picture. @param {import('./bring.js').Form} form */
  function setForm({ shape: [channels, height, width], box, by, isInk }) {
    grey.box.hidden = channels === 1; // one channel is grey, whoever wants what
    scale.label.title = `Into ${box.width} by ${box.height} pixels. The aspect is kept.`;
    centre.label.title = by === 'mass' ? 'The centre of mass into the middle.' : 'What stands out from the ground into the middle.';
    setText(ground, isInk ? '' : `These models take ${channels === 3 ? 'colour' : 'grey'} images of ${width} by ${height} pixels. A picture of another aspect stands on the colour of its own edge.`);
    ground.hidden = isInk;
  }

  /** Which steps are on, from now until the person says otherwise. */
  function choose(now) {
    Object.assign(wanted, now);
    for (const { name, box } of made) box.checked = wanted[name];
  }

  function show(pictures) {
    for (const { name, canvas } of made) {
      const { data, width, height } = pictures[name];
      paint(canvas, data, [data.length / (width * height), height, width], 255);
    }
  }
  return { element, wanted, setForm, choose, show };
}
