/** Colours. Ten classes in Paul Tol's colour-blind safe hues, with darker or lighter twins where a theme needs them. */

const LIGHT = ['#4477aa', '#ee6677', '#228833', '#b8a52c', '#56b4e0', '#aa3377', '#7a5230', '#ee8866', '#222255', '#8c8c8c'];
const DARK = ['#6f9fd8', '#ee6677', '#4cb564', '#d9c84f', '#7fd3f2', '#d264a3', '#b58a5e', '#f2a285', '#a3a6ff', '#b4b4b4'];

export function classColours(dark) {
  return dark ? DARK : LIGHT;
}

/** Whether a CSS colour (rgb or hex) is a dark one, by its luminance. */
export function isDark(colour) {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 1;
  const context = canvas.getContext('2d');
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 110;
}
