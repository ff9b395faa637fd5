// What a task may say and ask, without a worker.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import * as umbel from "../umbel/umbel.js";
import { Ignore, chain, context, log, progress, replace, signature, submit } from "../umbel/umbel.js";
import { task } from "../umbel/testing.js";
import { fromBase64, toBase64 } from "../umbel/values.js";

describe("context", () => {
  it("has the request in JavaScript's types", () => {
    const request = { id: "abc", eta: "2026-01-02T03:04:05Z", args: [1, new Uint8Array([0, 255])], retries: 2 };
    task({ ...request, kwargs: { at: new Date(0) }, timeLimit: 1.5 }, () => {
      assert.equal(context.id, "abc");
      assert.equal(context.retries, 2);
      assert.deepEqual(context.args, [1, new Uint8Array([0, 255])]);
      assert.deepEqual(context.kwargs, { at: new Date(0) });
      assert.deepEqual(context.eta, new Date("2026-01-02T03:04:05Z"));
      assert.deepEqual([context.expires, context.timeLimit, context.softTimeLimit], [undefined, 1.5, undefined]);
      assert.equal(context.delivery.routingKey, "celery");
    });
  });

  it("knows the time that is left", () => {
    task({}, (worker) => {
      worker.remaining = 12.5;
      assert.deepEqual([context.remaining(), context.softRemaining()], [12.5, undefined]);
      context.takeSoftLimit();
      assert.equal(worker.tookSoftLimit, true);
    });
  });

  it("says what to do where no task runs", () => {
    assert.throws(() => context.id, /umbel\/testing/);
  });

  it("refuses a request of what requests do not have", () => {
    assert.throws(() => task({ retrys: 1 }, () => {}), /has no retrys/);
  });

  it("holds until an async task is done", async () => {
    const late = async () => {
      await Promise.resolve();
      return context.id;
    };
    assert.equal(await task({ id: "late" }, late), "late");
    assert.throws(() => context.id);
  });
});

describe("telling", () => {
  it("shows progress with its details", () => {
    task({}, (worker) => {
      progress("PROGRESS", { done: 1 });
      progress("WAITING");
      assert.deepEqual(worker.updates, [["PROGRESS", { done: 1 }], ["WAITING", null]]);
    });
  });

  it("writes lines with fields", () => {
    task({}, (worker) => {
      log.warning("3 left", { size: 7 });
      log.info("hello");
      assert.deepEqual(worker.lines, [["warning", "3 left", { size: 7 }], ["info", "hello", {}]]);
    });
  });
});

describe("values", () => {
  it("survive JSON", () => {
    for (const value of [{ a: [1, 2.5, null, true, "ü"] }, new Date(1000), new Uint8Array([0, 1, 254, 255])]) {
      assert.deepEqual(umbel.parse(umbel.stringify(value)), value);
    }
  });

  it("take kombu's other tags as text", () => {
    const uuid = '{"__type__": "uuid", "__value__": {"hex": "00000000000040008000000000000001"}}';
    assert.equal(umbel.parse(uuid), "00000000-0000-4000-8000-000000000001");
    assert.equal(umbel.parse('{"__type__": "decimal", "__value__": "1.10"}'), "1.10");
    assert.deepEqual(umbel.parse('{"__type__": "x", "__value__": 1}'), { __type__: "x", __value__: 1 });
  });

  it("are null where JSON has nothing for them, and refused where they would change", () => {
    assert.equal(umbel.stringify(undefined), "null");
    assert.equal(umbel.stringify([3n, new Map([["a", 1]]), new Set([2])]), '[3,{"a":1},[2]]');
    assert.throws(() => umbel.stringify(2n ** 60n), /too large/);
  });

  it("have base64 as everybody has", () => {
    for (let length = 0; length < 9; length++) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 71 + 200) % 256);
      assert.equal(toBase64(bytes), Buffer.from(bytes).toString("base64"));
      assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
    }
  });
});

describe("sending", () => {
  it("sends a task with what was given", () => {
    task({}, (worker) => {
      const first = submit("mail.send", ["you"], { at: 1 }, { queue: "mail", countdown: 1.5, headers: { a: 1 } });
      assert.notEqual(first, submit("mail.send"));
      const options = { queue: "mail", countdownMs: 1500, headers: '{"a":1}' };
      assert.deepEqual(worker.sent[0], { name: "mail.send", args: ["you"], kwargs: { at: 1 }, options });
    });
  });

  it("throws what is refused", () => {
    task({}, (worker) => {
      worker.refusal = new umbel.Failure("no", { kind: "PermissionError" });
      assert.throws(() => submit("a.b"), { name: "PermissionError" });
    });
  });

  it("ends a task that is replaced", () => {
    task({}, (worker) => {
      const steps = chain(signature("a.b", [1], {}, { queue: "q" }), signature("a.c", [], {}, { immutable: true }));
      assert.throws(() => replace(steps), Ignore);
      assert.equal(worker.replacement.task, "celery.chain");
      const [first, second] = worker.replacement.kwargs.tasks;
      assert.deepEqual([first.args, first.options, first.immutable], [[1], { queue: "q" }, false]);
      assert.equal(second.immutable, true);
    });
  });
});
