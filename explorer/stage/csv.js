/** Tables as CSV: RFC 4180, UTF-8. A text that a spreadsheet would run as a formula gets an apostrophe in front (OWASP). */

const FORMULA = /^[\s\0-\x1f\ufeff]*[=+\-@＝＋－＠]|^[\t\r\n]/;

/** One cell. A number stays a number; of a text only those that need it are quoted. */
export function cell(value) {
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : '';
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * @param {Array<{name: string, of: (row: number) => string|number}>} columns
 * @param {number} n  rows
 */
export function csv(columns, n) {
  const lines = [columns.map(({ name }) => cell(name)).join(',')];
  for (let row = 0; row < n; row++) lines.push(columns.map(({ of }) => cell(of(row))).join(','));
  return `${lines.join('\r\n')}\r\n`;
}

/** The shortest number that is this float32. */
function exact(value) {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

/** The codes of a model's held-out images, a row an image; of a VAE z is the mean, and each logvar follows. */
export function codesAsCsv({ n, d, codes, labels, logvar }, classes) {
  const dims = (name, values) => Array.from({ length: d }, (_, dim) => ({ name: `${name}${dim + 1}`, of: (row) => exact(values[row * d + dim]) }));
  return csv([
    { name: 'n', of: (row) => row },
    { name: 'label', of: (row) => labels[row] },
    { name: 'class', of: (row) => classes[labels[row]] ?? '' },
    ...dims('z', codes), ...(logvar ? dims('logvar', logvar) : []),
  ], n);
}
