/** Long work in slices between frames, so that the pointer never waits for it. */

const BUDGET_MS = 6;

/**
 * Tasks by key; a task of the same key replaces the old one. A task does one small step and says whether there is more.
 * @returns {{run: (key: string, step: () => boolean, after?: () => void) => void, stop: (key: string) => void,
 *            stopAll: () => void}}
 */
export function makeSlices() {
  const tasks = new Map();
  let frame = 0;

  function tick() {
    frame = 0;
    const end = performance.now() + BUDGET_MS;
    const touched = new Set();
    while (tasks.size && performance.now() < end) {
      for (const [key, task] of tasks) {
        touched.add(task);
        if (!task.step()) tasks.delete(key);
      }
    }
    touched.forEach((task) => task.after?.());
    if (tasks.size) frame = requestAnimationFrame(tick);
  }

  return {
    run(key, step, after) {
      tasks.set(key, { step, after });
      frame ||= requestAnimationFrame(tick);
    },
    stop: (key) => tasks.delete(key),
    stopAll: () => tasks.clear(),
  };
}
