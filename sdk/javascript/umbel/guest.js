// Makes a component's exports of an author's module: used by what `umbel build` writes, by nobody else.

import { connect as becomeWorker, forget, host } from "./host.js";
import { lifter, lowerer } from "./shapes.js";
import { Failure, Ignore, Reject, Retry } from "./umbel.js";
import { stringify } from "./values.js";

/** What an author calls by name and no engine here has, and what to do instead. */
const ABSENT = {
  setTimeout: "a task has no timers: throw Retry to be run again later",
  setInterval: "a task has no timers: throw Retry to be run again later",
  setImmediate: "a task has no timers",
  fetch: "QuickJS has no fetch: `umbel build --engine starlingmonkey` takes an engine that has",
  process: "a task has no process: what it is to know comes as an argument",
  Buffer: "that is Node's: use Uint8Array",
  require: "that is Node's: use import",
  window: "that is a browser's",
  document: "that is a browser's",
};

let running = false;
let engine;

/** Whether a task runs: while a module loads there is no worker. */
export function started() {
  return running;
}

/** The worker of the running task. */
export function worker() {
  return host();
}

/** Tasks ask the worker through these imports of the component. */
export function connect(imports, runs) {
  engine = runs;
  becomeWorker(throughImports(imports));
}

function throughImports(imports) {
  const of = (name) => {
    if (imports[name] !== undefined) return imports[name];
    throw new Error(`the plugin's world lacks \`import umbel:task/${name}@0.1.0;\``);
  };
  const send = (name, ...args) => {
    const call = of("tasks")[name];
    try {
      return call(...args);
    } catch (error) {
      throw refused(error);
    }
  };
  return {
    current: () => of("context").current(),
    remainingMs: () => of("context").remainingMs(),
    softRemainingMs: () => of("context").softRemainingMs(),
    takeSoftLimit: () => of("context").takeSoftLimit(),
    progress: (state, meta) => of("progress").update(state, meta),
    log: (level, message, fields) => imports.log?.write(level, message, fields),
    submit: (name, args, kwargs, options) => send("submit", name, args, kwargs, sized(options)),
    apply: (signature, args) => send("apply", signature, args),
    replace: (signature) => send("replace", signature),
    addToChord: (signature) => send("addToChord", signature),
  };
}

/** Options as the engine wants them: none in its words, 64 bits in its type. */
function sized(options) {
  const wide = engine === "quickjs" ? (value) => value ?? null : (value) => (value == null ? undefined : BigInt(value));
  const none = engine === "quickjs" ? null : undefined;
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [name, name.endsWith("Ms") ? wide(value) : (value ?? none)]),
  );
}

function refused(error) {
  const reason = error?.payload ?? error;
  if (typeof reason?.tag !== "string") return error;
  const kind = { denied: "PermissionError", invalid: "ValueError" }[reason.tag] ?? "RuntimeError";
  return new Failure(String(reason.val), { kind });
}

/** The exported functions, made of the module's: its own, or those of an object it exports under this name. */
export function implement(module, name, functions) {
  const given = module[name] ?? module.default?.[name] ?? module;
  return Object.fromEntries(
    Object.entries(functions).map(([called, of]) => [called, method(check(given, called, of), called, of)]),
  );
}

function check(given, name, { params }) {
  const call = given[name];
  const words = `${name}(${Object.keys(params).join(", ")})`;
  if (typeof call !== "function") throw new Error(`umbel: no function \`${words}\` is exported, which the WIT exports`);
  if (call.length > Object.keys(params).length) {
    throw new Error(`umbel: \`${name}\` takes ${call.length} arguments, but the WIT says \`${words}\``);
  }
  return call.bind(given);
}

function method(call, name, { params, result, error: says, async: waits }) {
  const lifts = Object.values(params).map(lifter);
  const lower = result === null ? () => undefined : lowerer(result, engine);
  const returned = (value) => {
    try {
      return lower(value);
    } catch (error) {
      const hint = value === undefined ? "; is a `return` missing?" : "";
      throw new TypeError(`${name}() returned what its WIT does not allow: ${error.message}${hint}`);
    }
  };
  const begin = (args) => {
    running = true;
    forget();
    return call(...lifts.map((lift, i) => lift(args[i])));
  };
  const late = async (value) => {
    try {
      return returned(await value);
    } catch (error) {
      throw ending(error, says);
    }
  };
  return (...args) => {
    try {
      const value = begin(args);
      if (typeof value?.then !== "function") return returned(value);
      // StarlingMonkey waits for promises whatever the type says.
      if (waits || engine === "starlingmonkey") return late(value);
      throw new TypeError(`${name}() is async, but its WIT does not say \`async func\``);
    } catch (error) {
      throw ending(error, says);
    }
  };
}

/** What is thrown for an error; itself where the function's type has no room for it. */
function ending(error, says) {
  const meant = [Retry, Reject, Ignore, Failure].some((kind) => error instanceof kind);
  if (!meant) host().log("error", told(error), "");
  if (says === "error") return lowered(error);
  if (says !== "string") return error;
  const plain = meant || ["Error", "TaskError"].includes(kind(error));
  return plain ? message(error) : `${kind(error)}: ${message(error)}`;
}

function told(error) {
  if (!(error instanceof Error)) return `thrown: ${message(error)}`;
  // Some engines begin a stack with the message, others do not.
  const stack = (error.stack ?? "").split("\n").filter((line) => /^\s+at |@/.test(line));
  return [`${kind(error)}: ${message(error)}`, ...stack].join("\n");
}

function lowered(error) {
  const none = engine === "quickjs" ? null : undefined;
  if (error instanceof Retry) {
    const { afterMs } = sized({ afterMs: error.after == null ? undefined : Math.max(0, Math.ceil(error.after * 1000)) });
    const cause = error.cause ?? (error.message === "retry" ? undefined : new Failure(error.message));
    return { tag: "retry", val: { cause: cause === undefined ? none : failure(cause, none), afterMs, max: error.max ?? none } };
  }
  if (error instanceof Reject) return { tag: "reject", val: error.requeue };
  if (error instanceof Ignore) return { tag: "ignore" };
  // An author's own `throw { tag: "failed", val: … }`.
  if (!(error instanceof Error) && ["failed", "retry", "reject", "ignore"].includes(error?.tag)) return error;
  return { tag: "failed", val: failure(error, none) };
}

function failure(error, none) {
  return { kind: kind(error), message: message(error), data: data(error) ?? none };
}

function kind(error) {
  if (!(error instanceof Error) || error.payload !== undefined) return "TaskError";
  // A class that extends Error and does not set its name is known by its own.
  return error.name === "Error" ? error.constructor.name : error.name;
}

function message(error) {
  if (error?.payload !== undefined) return refusal(error.payload);
  if (!(error instanceof Error)) return typeof error === "string" ? error : stringify(error);
  const missing = error instanceof ReferenceError ? /^'?(\w+)'? is not defined/.exec(error.message)?.[1] : undefined;
  const help = missing !== undefined && Object.hasOwn(ABSENT, missing) ? ABSENT[missing] : undefined;
  return help === undefined ? error.message : `${error.message} (${help})`;
}

/** What an import of the author's own answered instead of a value; engines wrap it in an error. */
function refusal(answer) {
  if (typeof answer?.tag !== "string") return typeof answer === "string" ? answer : stringify(answer);
  if (answer.val == null) return answer.tag;
  return typeof answer.val === "string" ? answer.val : `${answer.tag}: ${stringify(answer.val)}`;
}

function data(error) {
  try {
    return error?.data === undefined ? undefined : stringify(error.data);
  } catch {
    return undefined;
  }
}
