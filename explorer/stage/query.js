/** The address's query of the labs and of Yours. */

const ADDRESS_DELAY_MS = 150;

/** What a page keeps in the address: read at once, written when the hand rests. */
export function makeQuery() {
  let waiting = {}, timer = 0;
  const write = () => {
    clearTimeout(timer);
    const query = new URLSearchParams(location.search);
    for (const [key, value] of Object.entries(waiting)) value === null || value === '' ? query.delete(key) : query.set(key, String(value));
    waiting = {};
    history.replaceState(history.state, '', `${location.pathname}${query.size ? `?${query.toString().replaceAll('%2C', ',')}` : ''}${location.hash}`);
  };
  return {
    /** A choice out of some, the first one if the address has none or another. */
    one: (key, known) => {
      const value = new URLSearchParams(location.search).get(key);
      return known.find((one) => String(one) === value) ?? known[0];
    },
    /** A number from low to high. */
    number: (key, low, high, usual) => {
      const text = new URLSearchParams(location.search).get(key), value = Number(text);
      return text && Number.isFinite(value) && value >= low && value <= high ? value : usual;
    },
    text: (key) => new URLSearchParams(location.search).get(key) ?? '',
    set: (values) => {
      Object.assign(waiting, values);
      clearTimeout(timer);
      timer = setTimeout(write, ADDRESS_DELAY_MS);
    },
    /** Write what waits, at once. */
    now: write,
  };
}
