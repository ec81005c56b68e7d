/** The news of a job, heard again after whatever cut it off: a lost connection, a server that was started anew. */

const AGAIN_MS = 2000;
// Behind a proxy another server answers for one that is starting again, and does not know the job.
const PATIENCE_MS = 300_000;
// The server says something every 15 s. A connection that a sleep or a change of networks has cut is silent, not closed.
const SILENT_MS = 40_000;
const ANSWER_MS = 10_000;

/**
 * @param {URL} address
 * @param {object} on
 * @param {(news: any) => void} on.hear  after a gap all that was said may come again, from the first
 * @param {(known: boolean) => void} on.waiting  the server does not answer now; or does, and has no such job just now
 * @param {() => void} on.none  the server has no such job
 * @returns {{close: () => void}}
 */
export function listenTo(address, { hear, waiting, none }) {
  let source = null, timer = 0, silence = 0, closed = false, heard = -Infinity;

  function open() {
    source = new EventSource(address);
    source.onopen = expectMore;
    source.onmessage = ({ data }) => {
      heard = performance.now();
      expectMore();
      hear(JSON.parse(data));
    };
    source.addEventListener('beat', expectMore);
    source.addEventListener('end', close);
    expectMore();
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) ask();
      else waiting(true);
    };
  }

  function expectMore() {
    clearTimeout(silence);
    silence = setTimeout(() => {
      source.close();
      waiting(true);
      open();
    }, SILENT_MS);
  }

  /** The browser has given up: because there is no such job, or because a proxy answered for a server that is away. */
  async function ask() {
    clearTimeout(silence);
    const asking = new AbortController(), tooLate = setTimeout(() => asking.abort(), ANSWER_MS);
    const status = await fetch(address, { signal: asking.signal }).then((answer) => answer.status, () => 0);
    clearTimeout(tooLate);
    asking.abort();
    if (closed) return;
    if (status === 404 && performance.now() - heard > PATIENCE_MS) {
      close();
      none();
    } else {
      waiting(status !== 404);
      timer = setTimeout(open, AGAIN_MS);
    }
  }

  function close() {
    closed = true;
    clearTimeout(timer);
    clearTimeout(silence);
    source.close();
  }

  open();
  return { close };
}
