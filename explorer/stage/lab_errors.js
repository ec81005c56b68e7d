/** The errors of a training, epoch by epoch, as a chart that grows while it goes on. */

import { makeChart } from './chart.js';

/** @param {string} against  what the error is measured against, for the caption */
export function makeErrors(against) {
  const chart = makeChart({ title: 'Error', unit: `mean squared error × 1,000, ${against}`, across: 'epoch' });
  let history = [];

  /**
   * @param {Array<{epoch: number, mse: number, val_mse: number}>} records
   * @param {Record<string, number>} controls  errors that need no training, by name
   */
  function show(records, controls = {}) {
    history = records;
    const line = (name, key, dashed) => ({ name, kind: 'ae', dashed, points: history.map((one) => [one.epoch, 1000 * one[key]]) });
    const last = Math.max(2, history.at(-1).epoch);
    chart.show([line('training', 'mse', true), line('held out', 'val_mse', false),
      ...Object.entries(controls).map(([name, value]) => ({ name, kind: '', dashed: true, points: [1, last].map((at) => [at, 1000 * value]) }))]);
  }

  /** One more epoch; the first one starts anew. */
  const add = (news, controls) => show([...history.filter(({ epoch }) => epoch < news.epoch), news], controls);
  return { element: chart.element, show, add };
}
