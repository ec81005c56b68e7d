/** The VAE's posteriors on its map: for some images, where 95 % of q(z|x) lies in the plane that is seen. */

import { loadPosterior } from './atlas.js';
import { h, setText } from './dom.js';

const COUNT = 60, ACROSS = 10;

/**
 * @param {{base: string|URL, panels: Record<string, any>, onProblem: (text: string) => void}} options
 */
export function makeEllipses({ base, panels, onProblem }) {
  const note = h('p', { class: 'about', role: 'status', hidden: true });
  let wanted = null, seen = [];

  /**
   * @param {{on: boolean, picked: number|null, chosenClass: number|null, className: string}} what  picked: the image under
   *     the held probe
   */
  async function show(what) {
    const all = Object.values(panels);
    const now = [what.on, what.picked, what.chosenClass, ...all.map(({ view }) => view)];
    if (now.every((value, i) => value === seen[i])) return;
    [wanted, seen] = [what, now];
    note.hidden = !what.on;
    const vaes = what.on ? all.filter(({ atlas }) => atlas.model.parts.posterior) : [];
    const shown = vaes.filter(({ view }) => view.covariance);
    setText(note, sentence(what, vaes, shown));
    for (const panel of all) if (!shown.includes(panel)) panel.map.setEllipses([]);
    try {
      await Promise.all(shown.map(({ atlas }) => loadPosterior(atlas, base)));
    } catch ({ message }) {
      onProblem(message);
      return;
    }
    if (wanted !== what) return;
    for (const { map, view, atlas } of shown) map.setEllipses(imagesOf(view, atlas.labels, what).map((i) => ellipse(view, atlas, i)));
  }
  return { element: note, show };
}

function sentence({ picked, chosenClass, className }, vaes, shown) {
  if (!vaes.length) return 'Ellipses: an AE gives each image one code and no spread, so there are none.';
  if (!shown.length) return 'Ellipses: there are none in this view, whose axes are no directions of z.';
  const whose = picked !== null ? `image ${picked}` : `up to ${COUNT} images${chosenClass === null ? ' from all over the map' : ` of class ${className}`}`;
  return `Ellipses: where 95 % of the VAE’s q(z|x) lies in the two dimensions shown, for ${whose}.`;
}

function imagesOf(view, labels, { picked, chosenClass }) {
  return picked !== null ? [picked] : spreadOut(view, (i) => chosenClass === null || labels[i] === chosenClass);
}

/** Up to 60 images, the first in each of a hundred squares of the map. */
function spreadOut({ x, y }, isWanted) {
  const members = [...x.keys()].filter(isWanted);
  const square = (values) => {
    const own = members.map((i) => values[i]), low = Math.min(...own), side = (Math.max(...own) - low) / ACROSS || 1;
    return (i) => Math.min(ACROSS - 1, Math.floor((values[i] - low) / side));
  };
  const [across, up] = [square(x), square(y)], first = new Map();
  for (const i of members) {
    const at = across(i) * ACROSS + up(i);
    if (!first.has(at)) first.set(at, i);
  }
  const found = [...first.values()];
  return found.length <= COUNT ? found : Array.from({ length: COUNT }, (_, k) => found[Math.floor((k * found.length) / COUNT)]);
}

function ellipse(view, { logvar, d }, i) {
  const variances = Float64Array.from(logvar.subarray(i * d, (i + 1) * d), Math.exp);
  return { x: view.x[i], y: view.y[i], covariance: view.covariance(variances) };
}
