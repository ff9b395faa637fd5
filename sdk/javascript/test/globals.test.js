// What stands in for a browser's or Node's globals.

import assert from "node:assert/strict";
import { it } from "node:test";

const { TextEncoder, TextDecoder, console: nodes } = globalThis;
delete globalThis.TextEncoder;
delete globalThis.TextDecoder;
await import("../umbel/globals.js");
const ours = { Encoder: globalThis.TextEncoder, Decoder: globalThis.TextDecoder, console: globalThis.console };
Object.assign(globalThis, { TextEncoder, TextDecoder, console: nodes });

const { connect, implement } = await import("../umbel/guest.js");

it("text becomes the bytes that Node's encoder makes, and back", () => {
  for (const text of ["", "abc", "grün", "€", "🌱 umbel", "\ud800"]) {
    const bytes = new TextEncoder().encode(text);
    assert.deepEqual(new ours.Encoder().encode(text), bytes);
    assert.equal(new ours.Decoder().decode(bytes), new TextDecoder().decode(bytes));
  }
});

it("bytes that are no UTF-8 are replaced, or refused", () => {
  for (const bytes of [[255], [0xc3], [0xe2, 0x82], [65, 0xc0, 0x80, 66], [0xf0, 0x9f, 0x8c]]) {
    assert.match(new ours.Decoder().decode(Uint8Array.from(bytes)), /\ufffd/);
    assert.throws(() => new ours.Decoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes)), TypeError);
  }
  assert.throws(() => new ours.Decoder("latin1"), RangeError);
});

it("console writes to the worker's log once a task runs", () => {
  const lines = [];
  connect({ log: { write: (...line) => lines.push(line) } }, "quickjs");
  ours.console.log("while it loads");
  const run = () => {
    ours.console.log("a", 1, { b: [2] });
    ours.console.error(new TypeError("no"));
  };
  implement({ run }, "tasks", { run: { params: {}, result: null, error: null, async: false } }).run();
  assert.deepEqual(lines[0], ["info", 'a 1 {"b":[2]}', ""]);
  assert.match(lines[1][1], /^TypeError: no/);
  assert.equal(lines.length, 2);
});
