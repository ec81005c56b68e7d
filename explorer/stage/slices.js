/**
 * Long work in slices, so that the pointer never waits for it longer than one slice: between two of them the browser
 * hears what there is to hear and draws its frames.
 */

const BUDGET_MS = 5;

/**
 * Tasks by key; a task of the same key replaces the old one. A task does one small step and says whether there is more, or
 * promises to have more to do later; one whose promise fails is over. after is called before the next frame for what was done
 * since the last.
 * @returns {{run: (key: string, step: () => boolean|Promise<void>, after?: () => void) => void, stop: (key: string) => void,
 *            stopAll: () => void, idle: () => Promise<void>}}  idle: when nothing is left to do, and it is shown
 */
export function makeSlices() {
  const tasks = new Map(), resting = new Map();
  const touched = new Set();
  const { port1: inlet, port2: outlet } = new MessageChannel(); // a timer would idle for 4 ms
  let frame = 0, isDue = false;
  outlet.onmessage = slice;

  function next() {
    if (isDue || !tasks.size) return;
    isDue = true;
    inlet.postMessage(null);
  }

  function slice() {
    isDue = false;
    const end = performance.now() + BUDGET_MS;
    for (const [key, task] of tasks) {
      tasks.delete(key);
      const more = task.step();
      if (more instanceof Promise) rest(task, more);
      else if (more) tasks.set(key, task); // at the end of the row: it comes round again
      touched.add(task);
      if (performance.now() >= end) break;
    }
    if (touched.size) frame ||= requestAnimationFrame(show);
    next();
  }

  /** A task that waits is out of the row, and comes back unless it was stopped or replaced. */
  function rest(task, until) {
    resting.set(task.key, task);
    const wake = (goesOn) => {
      if (resting.get(task.key) !== task) return;
      resting.delete(task.key);
      if (!goesOn) return;
      tasks.set(task.key, task);
      next();
    };
    until.then(() => wake(true), () => wake(false));
  }

  function show() {
    frame = 0;
    const done = [...touched];
    touched.clear();
    done.forEach((task) => task.after?.());
  }

  function stop(key) {
    tasks.delete(key);
    resting.delete(key);
    for (const task of touched) if (task.key === key) touched.delete(task);
  }

  return {
    run(key, step, after) {
      stop(key);
      tasks.set(key, { key, step, after });
      next();
    },
    stop,
    async idle() {
      while (tasks.size || resting.size || frame) await new Promise((done) => setTimeout(done, BUDGET_MS));
    },
    stopAll() {
      tasks.clear();
      resting.clear();
      touched.clear();
    },
  };
}
