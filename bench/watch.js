/**
 * Put into the page before anything else: notes when an event was made, when the pixels it asked for were replaced, and
 * when the work of the frame that shows them was done. Times are milliseconds on the page's clock.
 * The browser may tell of a move twice: by pointerrawupdate at once, by pointermove when a frame begins. Both are one
 * event here, made and told when the first of them was.
 */
window.bench = (() => {
  const bench = { shown: ['AE decoded image', 'VAE decoded image'], events: [], frames: [], lastPaint: 0, images: 0, answered: 0 };
  let event = null, place = '', running = false;

  function noteMove({ clientX, clientY, timeStamp }) {
    if (`${clientX} ${clientY}` === place) return;
    place = `${clientX} ${clientY}`;
    note({ type: 'move', timeStamp });
  }

  function note({ type, timeStamp }) {
    event = { type, made: timeStamp, told: performance.now(), pixels: 0, frame: 0, painted: new Set(), loaded: 0 };
    bench.events.push(event);
  }

  /** The frame that follows is produced by then: a task queued inside it runs when style, layout and paint are done. */
  function whenFrameIsDone(action) {
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => action(performance.now());
      port2.postMessage(null);
    });
  }

  function pixelsReplaced(of) {
    of.pixels = performance.now();
    whenFrameIsDone((now) => { of.frame = now; });
  }

  function imagePainted(canvas) {
    const name = canvas.getAttribute?.('aria-label');
    bench.lastPaint = performance.now();
    if (!event || event.pixels || !bench.shown.includes(name)) return;
    event.painted.add(name);
    if (event.painted.size < bench.shown.length) return;
    pixelsReplaced(event);
    const ready = canvas.getRootNode().querySelector('[data-ready="true"]');
    if (event.type === 'move' && ready) bench.answered ||= performance.timeOrigin + event.pixels;
  }

  for (const type of ['pointerrawupdate', 'pointermove']) addEventListener(type, noteMove, { capture: true });
  addEventListener('click', note, { capture: true });

  const { putImageData } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.putImageData = function (...values) {
    putImageData.apply(this, values);
    imagePainted(this.canvas);
  };

  // The stock alternative shows <img>: an event is answered when as many were loaded as stand on the page.
  document.addEventListener('load', ({ target }) => {
    if (target.tagName !== 'IMG' || !event) return;
    event.loaded++;
    if (event.loaded === document.querySelectorAll('[data-testid="stImage"] img').length) pixelsReplaced(event);
  }, { capture: true });

  bench.start = () => {
    Object.assign(bench, { events: [], frames: [] });
    running = true;
    const tick = (now) => {
      bench.frames.push(now);
      if (running) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  };

  bench.stop = () => {
    running = false;
    const events = bench.events.map(({ type, made, told, pixels, frame }) => ({ type, made, told, pixels, frame }));
    return { events, frames: bench.frames, lastPaint: bench.lastPaint };
  };

  /** When (milliseconds since 1970) something that matches a selector has been painted. */
  bench.seen = (selector) => new Promise((resolve) => {
    const look = () => {
      if (document.querySelector(selector)) whenFrameIsDone((now) => resolve(performance.timeOrigin + now));
      else requestAnimationFrame(look);
    };
    look();
  });
  return bench;
})();
