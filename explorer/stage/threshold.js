/**
 * What a threshold on scores comes to. A score at or above it is an alarm. Definitions and edge cases are scikit-learn's:
 * a precision without any alarm is 0. Knows nothing of the page.
 */

/**
 * @param {ArrayLike<number>} scores
 * @param {ArrayLike<number>} anomalous  1 or 0
 * @param {number} threshold
 */
export function ratesAt(scores, anomalous, threshold) {
  let hits = 0, misses = 0, falseAlarms = 0, quiet = 0;
  for (let i = 0; i < scores.length; i++) {
    if (scores[i] >= threshold) anomalous[i] ? hits++ : falseAlarms++;
    else anomalous[i] ? misses++ : quiet++;
  }
  const share = (part, whole) => (whole ? part / whole : 0);
  return {
    hits, misses, falseAlarms, quiet,
    accuracy: share(hits + quiet, scores.length),
    anomaly: { precision: share(hits, hits + falseAlarms), recall: share(hits, hits + misses) },
    normal: { precision: share(quiet, quiet + misses), recall: share(quiet, quiet + falseAlarms) },
  };
}

/**
 * Both curves over all thresholds, from the highest score down; equal scores are one step.
 * @returns {{roc: number[][], pr: number[][], auc: number, averagePrecision: number}} roc: [false alarms, recall] as shares;
 *     pr: [recall, precision]; the area under the first by trapezes, under the second by steps
 */
export function curves(scores, anomalous) {
  const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a]);
  const positives = anomalous.reduce((sum, one) => sum + one, 0), negatives = scores.length - positives;
  const roc = [[0, 0]], pr = [];
  let hits = 0, alarms = 0, auc = 0, averagePrecision = 0;
  for (let at = 0; at < order.length; at++) {
    hits += anomalous[order[at]];
    alarms++;
    if (at + 1 < order.length && scores[order[at + 1]] === scores[order[at]]) continue;
    const [fall, recall] = [(alarms - hits) / negatives, hits / positives], [lastFall, lastRecall] = roc.at(-1);
    auc += ((fall - lastFall) * (recall + lastRecall)) / 2;
    averagePrecision += (recall - lastRecall) * (hits / alarms);
    roc.push([fall, recall]);
    pr.push([recall, hits / alarms]);
  }
  return { roc, pr, auc, averagePrecision };
}

/** Mean and one population standard deviation above it: the rule of TensorFlow's tutorial. */
export function usualThreshold(normalScores) {
  const n = normalScores.length, mean = normalScores.reduce((a, b) => a + b, 0) / n;
  return mean + Math.sqrt(normalScores.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n);
}
