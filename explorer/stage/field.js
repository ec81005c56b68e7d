/** A value for each cell of the part of the plane in sight, from coarse to fine, as a small picture. */

const COARSEST = 8;
const ACROSS = 48;

/** How many cells, across and up: about square, and none smaller than six pixels. A strip says nothing upwards. */
export function cellsOf({ wide, high }, isStrip) {
  const columns = Math.max(COARSEST, Math.min(ACROSS, Math.round(wide / 6)));
  return [columns, isStrip ? 1 : Math.max(1, Math.round((columns * high) / wide))];
}

/**
 * @param {{left: number, right: number, bottom: number, top: number}} bounds  of the part, in the plane's units
 * @param {[number, number]} cells  across and up
 * @param {{prepare: Iterator<void>, at: (x: number, y: number) => number}} work  prepare: what comes before the cells,
 *     step by step; at: a point's share of the scale, 0…1, or more than 1 beyond it
 */
export function makeField(bounds, [columns, rows], { prepare, at }) {
  const { left, right, bottom, top } = bounds;
  const shares = new Float32Array(columns * rows).fill(NaN), exact = new Uint8Array(columns * rows);
  const { cells, first } = coarseToFine(columns, rows);
  const sprite = document.createElement('canvas');
  [sprite.width, sprite.height] = [columns, rows];
  let next = -1;

  /** One small step; whether there is more to do. */
  function step() {
    if (next < 0) next = prepare.next().done ? 0 : -1;
    else if (next < cells.length) fill(cells[next++]);
    return next < cells.length;
  }

  function fill({ i, j, size }) {
    const share = at(left + ((i + 0.5) / columns) * (right - left), bottom + ((j + 0.5) / rows) * (top - bottom));
    const x0 = i - (i % size), y0 = j - (j % size);
    for (let y = y0; y < Math.min(rows, y0 + size); y++) {
      for (let x = x0; x < Math.min(columns, x0 + size); x++) if (!exact[y * columns + x]) shares[y * columns + x] = share;
    }
    shares[j * columns + i] = share;
    exact[j * columns + i] = 1;
  }

  return { bounds, columns, rows, shares, sprite, step, isDone: () => next === cells.length, covers: () => next >= first };
}

/** The middle of each large square, then of each smaller one. first: how many cover all. */
function coarseToFine(columns, rows) {
  const seen = new Uint8Array(columns * rows);
  const cells = [];
  let first = 0;
  for (let size = COARSEST; size >= 1; size /= 2) {
    for (let y = 0; y < rows; y += size) {
      for (let x = 0; x < columns; x += size) {
        const i = Math.min(x + (size >> 1), columns - 1), j = Math.min(y + (size >> 1), rows - 1);
        if (seen[j * columns + i]++) continue;
        cells.push({ i, j, size });
      }
    }
    first ||= cells.length;
  }
  return { cells, first };
}

/**
 * Paint what is known into the sprite, upper row first, transparent where nothing is.
 * @param {ReturnType<typeof makeField>} field
 * @param {{rgb: number[], most: number, beyond: number}} ink  most: opacity at the end of the scale; beyond: past it
 */
export function paintField({ shares, sprite, columns, rows }, { rgb, most, beyond }) {
  const context = sprite.getContext('2d'), image = context.createImageData(columns, rows);
  for (let k = 0; k < shares.length; k++) {
    const to = 4 * ((rows - 1 - Math.floor(k / columns)) * columns + (k % columns));
    image.data.set(rgb, to);
    image.data[to + 3] = 255 * (shares[k] > 1 ? beyond : shares[k] * most || 0);
  }
  context.putImageData(image, 0, 0);
}

/** The cells beyond the scale, as runs along a row: [first column, row from above, length]. */
export function runsBeyond({ shares, columns, rows }) {
  const runs = [];
  for (let j = 0; j < rows; j++) {
    for (let i = 0, start = 0; i <= columns; i++) {
      if (i < columns && shares[j * columns + i] > 1) continue;
      if (i > start) runs.push([start, rows - 1 - j, i - start]);
      start = i + 1;
    }
  }
  return runs;
}
