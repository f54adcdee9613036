// frames.js: what Python packed is what the page unpacks.  SDELIB_FRAMES names a file that pytest writes: { text, frames }.

import assert from "node:assert/strict";
import fs from "node:fs";
import test from "node:test";

import { array, unpack } from "../../sdelib/widgets/frames.js";

const given = process.env.SDELIB_FRAMES;

test(
  "every array of every frame has the shape and the numbers of frames.py",
  { skip: !given },
  async () => {
    const { text, frames } = JSON.parse(fs.readFileSync(given, "utf8"));
    const found = await unpack(text);
    assert.equal(found.length, frames.length);
    frames.forEach(({ view, meta, arrays }, k) => {
      assert.equal(found[k].meta.view, view);
      for (const [name, value] of Object.entries(meta))
        assert.deepEqual(found[k].meta[name], value);
      for (const [name, { shape, data }] of Object.entries(arrays)) {
        assert.deepEqual(array(found[k], name).shape, shape);
        assert.deepEqual([...array(found[k], name).data], data);
      }
    });
  },
);

test("an array that a frame lacks is null, and one that was decoded is kept", async () => {
  const frame = {
    meta: { arrays: { pixels: [1, 1, 2, 2] } },
    bytes: Uint8Array.of(9, 9, 1, 2, 3, 4),
    start: 1,
    decoded: {},
  };
  assert.equal(array(frame, "paths"), null);
  const first = array(frame, "pixels");
  assert.deepEqual([...first.data], [1, 2, 3, 4]);
  assert.equal(array(frame, "pixels"), first);
});

test("a damaged text is refused", async () => {
  await assert.rejects(unpack("AAAA"));
});
