import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Retry } from "umbel";
import { task } from "umbel/testing";

import { load, summarize } from "../src/NAME.js";

describe("summarize", () => {
  it("finds the lowest, the highest and the mean", () => {
    assert.deepEqual(summarize([3, 1, 2]), { lowest: 1, highest: 3, mean: 2 });
  });

  it("refuses no numbers at all", () => {
    assert.throws(() => summarize([]), RangeError);
  });
});

describe("load", () => {
  it("tells how far it is", () => {
    task({}, (worker) => {
      assert.deepEqual(load(["1", "2.5"]), [1, 2.5]);
      assert.deepEqual(worker.updates.at(-1), ["PROGRESS", { done: 2, total: 2 }]);
    });
  });

  it("waits longer each time", () => {
    task({ retries: 3 }, () => {
      assert.throws(
        () => load(["1", "pending"]),
        (error) => error instanceof Retry && error.after === 8,
      );
    });
  });
});
