/** Read the safetensors format: 8 bytes of header length, a JSON header, then the raw tensors. Little-endian. */

const HALF = halfTable();

/** Every float16 as float32: 65,536 values, looked up by their bits. */
function halfTable() {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction ? NaN : sign * Infinity;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return table;
}

/** A plain loop: Float32Array.from with a function takes a hundred times as long. */
function readHalf(bytes) {
  const bits = new Uint16Array(bytes);
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = HALF[bits[i]];
  return values;
}

const READERS = {
  F32: (bytes) => new Float32Array(bytes),
  I32: (bytes) => new Int32Array(bytes),
  U8: (bytes) => new Uint8Array(bytes),
  F16: readHalf,
};

/**
 * @param {ArrayBuffer} buffer
 * @returns {Record<string, {shape: number[], data: Float32Array|Int32Array|Uint8Array}>}
 */
export function readSafetensors(buffer) {
  const headerBytes = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, headerBytes)));
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    if (!READERS[dtype]) throw new Error(`Tensor ${name} has the type ${dtype}; expected one of ${Object.keys(READERS).join(', ')}`);
    tensors[name] = { shape, data: READERS[dtype](buffer.slice(8 + headerBytes + start, 8 + headerBytes + end)) };
  }
  return tensors;
}
