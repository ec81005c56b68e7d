/** The way from a picture to what the models see: a small picture a step, each with its switch. */

import { h, paint, pictureCanvas } from './dom.js';

const STEPS = [
  { name: 'grey', text: 'Grey', switches: false },
  { name: 'invert', text: 'Invert', title: 'Light on dark, as the data sets are. On by itself where the ground is light.' },
  { name: 'contrast', text: 'Contrast', title: 'The ground to black, the ink to white.' },
  { name: 'crop', text: 'Crop', title: 'To the smallest box that holds the ink.' },
  { name: 'scale', text: 'Scale', title: 'MNIST: into 20 by 20. Fashion-MNIST: the longer edge to 28. The aspect is kept.' },
  { name: 'centre', text: 'Centre', title: 'MNIST: the centre of mass in the middle. Fashion-MNIST: the frame in the middle.' },
];
export const SEEN = 'What the models see';

/** @param {{onChange: () => void}} options */
export function makeSteps({ onChange }) {
  const wanted = { invert: false, contrast: false, crop: false, scale: false, centre: false };
  const made = STEPS.map(({ name, text, title, switches = true }) => {
    const canvas = pictureCanvas(name === 'centre' ? SEEN : `After ${text.toLowerCase()}`, { width: 28, height: 28, className: 'sharp' });
    const box = switches && h('input', { type: 'checkbox', onchange: () => { wanted[name] = box.checked; onChange(); } });
    return { name, canvas, box, element: h('figure', { class: 'step' }, canvas, h('figcaption', {}, h('label', { title }, box || null, text))) };
  });
  const element = h('div', { class: 'steps', role: 'group', 'aria-label': 'Steps' }, ...made.map((step) => step.element));

  /** Which steps are on, from now until the person says otherwise. */
  function choose(now) {
    Object.assign(wanted, now);
    for (const { name, box } of made) if (box) box.checked = wanted[name];
  }

  function show(pictures) {
    for (const { name, canvas } of made) paint(canvas, pictures[name].data, [1, pictures[name].height, pictures[name].width], 255);
  }
  return { element, wanted, choose, show };
}
