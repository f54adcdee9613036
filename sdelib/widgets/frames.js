// Frames as frames.py packs them: unpack(text) → a list of frames, array(frame, name) → { data, shape }.

// Positions, as in frames.py: steps across the extent, and the number that stands for its lower left corner.
export const LEVELS = 4095;
export const ORIGIN = 28672;

// Base64 of deflated [header length, JSON header, numbers], all in the order of the machine that packed them.
export async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const start = 4 + new DataView(bytes.buffer).getUint32(0, true);
  return JSON.parse(new TextDecoder().decode(bytes.subarray(4, start))).map((meta) => ({
    meta,
    bytes,
    start,
    decoded: {},
  }));
}

export function array(frame, name) {
  const where = frame.meta.arrays[name];
  if (!where) return null;
  if (frame.decoded[name]) return frame.decoded[name];
  const [offset, ...shape] = where,
    n = shape.reduce((a, b) => a * b, 1),
    row = n / shape[0];
  const raw = frame.bytes.subarray(frame.start + offset);
  let data;
  if (name === "paths" || name === "points") {
    // differences along the first axis, low bytes then high bytes
    data = new Uint16Array(n);
    for (let i = 0; i < n; i++)
      data[i] = (raw[i] | (raw[n + i] << 8)) + (i < row ? 0 : data[i - row]);
  } else if (name === "density") {
    // differences along a row
    data = new Uint8Array(n);
    for (let i = 0; i < n; i++) data[i] = raw[i] + (i % row ? data[i - 1] : 0);
  } else if (name === "arrows") data = new Int8Array(raw.buffer, raw.byteOffset, n);
  else data = raw.subarray(0, n);
  return (frame.decoded[name] = { data, shape });
}
