// What `umbel build` puts between a component and an author's module.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { connect, implement } from "../umbel/guest.js";
import { Failure, Ignore, Reject, Retry, context, submit } from "../umbel/umbel.js";

const lines = [];
const refusals = [];

const imports = {
  context: { current: () => ({ id: "abc" }) },
  log: { write: (...line) => lines.push(line) },
  tasks: {
    submit: (...args) => {
      if (refusals.length > 0) throw refusals.pop();
      return args;
    },
  },
};

/** The function as the component exports it to this engine. */
function made(run, { params = {}, result = "string", error = "error", waits = false, engine = "quickjs" } = {}) {
  connect(imports, engine);
  return implement({ run }, "tasks", { run: { params, result, error, async: waits } }).run;
}

/** What an engine throws for the error of an import. */
function refused(payload) {
  return Object.assign(new Error("[object Object] (see error.payload)"), { payload });
}

function thrown(run) {
  try {
    run();
  } catch (error) {
    return error;
  }
  return assert.fail("it returned");
}

describe("endings", () => {
  it("are what the type has for them", () => {
    class NotFound extends Error {}
    const cause = new TypeError("no net");
    const failed = (kind, message, data = null) => ({ tag: "failed", val: { kind, message, data } });
    const retry = (cause, afterMs, max) => ({ tag: "retry", val: { cause, afterMs, max } });
    for (const [raised, expected] of [
      [new RangeError("bad"), failed("RangeError", "bad")],
      [new NotFound("nobody"), failed("NotFound", "nobody")],
      [new Failure("nobody", { kind: "Lost", data: [1] }), failed("Lost", "nobody", "[1]")],
      ["a text", failed("TaskError", "a text")],
      [refused({ tag: "other", val: "it is away" }), failed("TaskError", "it is away")],
      [refused({ tag: "no-such-store", val: null }), failed("TaskError", "no-such-store")],
      [refused({ tag: "code", val: 3 }), failed("TaskError", "code: 3")],
      [new Retry(), retry(null, null, null)],
      [new Retry("busy", { after: 2 }), retry(failed("TaskError", "busy").val, 2000, null)],
      [new Retry("busy", { cause, after: 1.5, max: 2 }), retry(failed("TypeError", "no net").val, 1500, 2)],
      [new Reject("", { requeue: true }), { tag: "reject", val: true }],
      [new Ignore(), { tag: "ignore" }],
    ]) {
      const run = made(() => {
        throw raised;
      });
      assert.deepEqual(thrown(run), expected);
    }
  });

  it("leave the stack of an unexpected error in the log", () => {
    lines.length = 0;
    thrown(made(() => null.x));
    assert.equal(lines.length, 1);
    assert.equal(lines[0][0], "error");
    assert.match(lines[0][1], /^TypeError: .*\n.*guest\.test\.js/);
  });

  it("say what to do about what a browser or Node has", () => {
    const { val } = thrown(made(() => notHere()));
    assert.deepEqual(val.message, "notHere is not defined");
    const missing = new ReferenceError("setTimeout is not defined");
    assert.match(thrown(made(() => { throw missing; })).val.message, /no timers: throw Retry/); // prettier-ignore
  });

  it("are text where the type says string, and the error itself where it has no room", () => {
    const bad = () => {
      throw new RangeError("bad");
    };
    class Lost extends Error {}
    const lost = () => {
      throw new Lost("bad");
    };
    assert.equal(thrown(made(bad, { error: "string" })), "RangeError: bad");
    assert.equal(thrown(made(lost, { error: "string" })), "Lost: bad");
    assert.ok(thrown(made(bad, { error: null })) instanceof RangeError);
  });

  it("are the same of an async task", async () => {
    const run = async (late) => {
      if (late) throw new Retry();
      return "done";
    };
    const shapes = { params: { late: "bool" }, waits: true };
    assert.equal(await made(run, shapes)(false), "done");
    await assert.rejects(made(run, shapes)(true), { tag: "retry" });
    assert.match(thrown(() => made(run, { params: { late: "bool" } })(false)).val.message, /does not say `async func`/);
    assert.equal(await made(run, { params: { late: "bool" }, engine: "starlingmonkey" })(false), "done");
  });
});

describe("shapes", () => {
  it("give arguments as JavaScript's values", () => {
    const kinds = (...values) => values.map((value) => `${typeof value} ${JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}n` : v))}`).join(", ");
    const params = { a: "json", b: "u64", c: { list: "json" }, d: { record: { e: "json" } }, f: "u32", g: "s64" };
    assert.equal(
      made(kinds, { params })('{"x":[1]}', 3, ["1", '"y"'], { e: "null" }, -1, 2n ** 64n - 1n),
      'object {"x":[1]}, bigint "3n", object [1,"y"], object {"e":null}, number 4294967295, bigint "-1n"',
    );
  });

  it("leave an omitted argument to its parameter's default", () => {
    const params = { width: "u32", quality: { option: "u32" } };
    const run = (width, quality = 80) => width + quality;
    assert.equal(made(run, { params, result: "u32" })(1, null), 81);
    assert.equal(made(run, { params, result: "u32" })(1, undefined), 81);
    assert.equal(made(run, { params, result: "u32" })(1, 2), 3);
  });

  it("take results in the ways to say them, for each engine", () => {
    const record = { record: { lines: "u32", note: { option: "string" } } };
    for (const [result, value, quickjs, starlingmonkey = quickjs] of [
      ["json", { a: new Uint8Array([120]) }, '{"a":{"__type__":"base64","__value__":"eA=="}}'],
      ["u32", 2 ** 32 - 1, -1, 2 ** 32 - 1],
      ["u64", 5n, 5, 5n],
      ["s64", -5, -5, -5n],
      ["bytes", [1, 2], new Uint8Array([1, 2])],
      [{ list: "u8" }, new Set([1, 2]), [1, 2]],
      [{ tuple: ["u8", "string"] }, [1, "x"], [1, "x"]],
      [{ list: { option: "u8" } }, [undefined, 1], [null, 1], [undefined, 1]],
      [record, { lines: 1, more: true }, { lines: 1, note: null }, { lines: 1, note: undefined }],
      [{ variant: { circle: "f64", nothing: null } }, { tag: "circle", val: 2 }, { tag: "circle", val: 2 }],
    ]) {
      assert.deepEqual(made(() => value, { result })(), quickjs);
      assert.deepEqual(made(() => value, { result, engine: "starlingmonkey" })(), starlingmonkey);
    }
  });

  it("refuse what does not fit, and say where", () => {
    for (const [result, value, text] of [
      ["u32", -1, "-1, not a u32"],
      ["u32", 1.5, "1.5, not a u32"],
      ["u64", 2n ** 60n + 1n, "1152921504606846977n, not a u64 that this engine can return"],
      ["string", null, "null, not a string"],
      [{ list: "u8" }, "abc", '"abc", not an array'],
      [{ list: { record: { n: "u8" } } }, [{ n: 1 }, { n: 256 }], "[1].n is 256, not a u8"],
      [{ enum: ["red"] }, "blue", '"blue", not one of red'],
      [{ variant: { red: null } }, "red", '"red", not a { tag, val } with a tag of red'],
    ]) {
      const { val } = thrown(made(() => value, { result }));
      assert.equal(val.kind, "TypeError");
      assert.ok(val.message.startsWith(`run() returned what its WIT does not allow: ${text}`), val.message);
    }
  });
});

describe("the worker", () => {
  it("is asked through the component's imports", () => {
    assert.equal(made(() => context.id)(), "abc");
  });

  it("gets options as each engine writes them", () => {
    const sent = (engine) => made(() => submit("a.b", [], {}, { countdown: 1 }), { result: "any", engine })();
    const [, , , quickjs] = sent("quickjs");
    assert.deepEqual([quickjs.countdownMs, quickjs.queue], [1000, null]);
    const [, , , starlingmonkey] = sent("starlingmonkey");
    assert.deepEqual([starlingmonkey.countdownMs, starlingmonkey.queue], [1000n, undefined]);
  });

  it("refuses with an error of its kind", () => {
    refusals.push({ payload: { tag: "denied", val: "a.b" } });
    assert.deepEqual(thrown(made(() => submit("a.b"))).val, { kind: "PermissionError", message: "a.b", data: null });
  });

  it("lacks what the world does not import", () => {
    connect({ log: imports.log }, "quickjs");
    const { run } = implement({ run: () => context.id }, "tasks", { run: { params: {}, result: "string", error: "error", async: false } });
    assert.match(thrown(run).val.message, /the plugin's world lacks `import umbel:task\/context@0.1.0;`/);
  });
});

describe("a mismatch", () => {
  const shapes = { run: { params: { text: "string", width: "u32" }, result: "string", error: "error", async: false } };

  it("names the function that is missing", () => {
    assert.throws(() => implement({}, "tasks", shapes), /no function `run\(text, width\)` is exported/);
  });

  it("shows a function of more arguments beside its WIT", () => {
    assert.throws(() => implement({ run: (a, b, c) => a + b + c }, "tasks", shapes), /takes 3 arguments, but the WIT says/);
  });

  it("is none if an object of the interface's name has the functions", () => {
    connect(imports, "quickjs");
    const tasks = { run: (text, width) => text.repeat(width) };
    assert.equal(implement({ tasks }, "tasks", shapes).run("ab", 2), "abab");
  });
});
