// Runs tasks without a worker, in the tests of a plugin. testing.d.ts describes it.

import { connect } from "./host.js";
import { parse, stringify } from "./values.js";

const ID = "00000000-0000-4000-8000-000000000000";

const REQUEST = {
  id: ID,
  name: "test",
  retries: 0,
  rootId: ID,
  parentId: undefined,
  groupId: undefined,
  groupIndex: undefined,
  eta: undefined,
  expires: undefined,
  replyTo: undefined,
  correlationId: ID,
};

const DELIVERY = { exchange: "", routingKey: "celery", priority: undefined, redelivered: false };

class Worker {
  updates = [];
  lines = [];
  sent = [];
  applied = [];
  added = [];
  replacement = undefined;
  refusal = undefined;
  remaining = 300;
  softRemaining = undefined;
  tookSoftLimit = false;
  #request;

  constructor({ args = [], kwargs = {}, headers = {}, stamps = {}, delivery = {}, timeLimit, softTimeLimit, ...request }) {
    const unknown = Object.keys(request).filter((name) => !(name in REQUEST));
    if (unknown.length > 0) {
      throw new TypeError(`a request has no ${unknown.join(", ")}; it has ${Object.keys(REQUEST).join(", ")}`);
    }
    this.#request = {
      ...REQUEST,
      ...request,
      args: stringify(args),
      kwargs: stringify(kwargs),
      headers: stringify(headers),
      stamps: stringify(stamps),
      delivery: { ...DELIVERY, ...delivery },
      timeLimitMs: timeLimit && timeLimit * 1000,
      softTimeLimitMs: softTimeLimit && softTimeLimit * 1000,
    };
  }

  current() {
    return this.#request;
  }

  remainingMs() {
    return this.remaining * 1000;
  }

  softRemainingMs() {
    return this.softRemaining === undefined ? undefined : this.softRemaining * 1000;
  }

  takeSoftLimit() {
    this.tookSoftLimit = true;
  }

  progress(state, meta) {
    this.updates.push([state, parse(meta)]);
  }

  log(level, message, fields) {
    this.lines.push([level, message, fields === "" ? {} : parse(fields)]);
  }

  submit(name, args, kwargs, options) {
    this.#refuse();
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    this.sent.push({ name, args: parse(args), kwargs: parse(kwargs), options: given });
    return this.#id();
  }

  apply(signature, args) {
    this.#refuse();
    this.applied.push([parse(signature), parse(args)]);
    return stringify([[this.#id(), null], null]);
  }

  replace(signature) {
    this.#refuse();
    this.replacement = parse(signature);
  }

  addToChord(signature) {
    this.#refuse();
    this.added.push(parse(signature));
    return stringify([[this.#id(), null], null]);
  }

  #refuse() {
    if (this.refusal !== undefined) throw this.refusal;
  }

  #id() {
    const number = this.sent.length + this.applied.length + this.added.length;
    return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
  }
}

export function task(request, run) {
  const worker = new Worker(request);
  const before = connect(worker);
  let waits = false;
  try {
    const value = run(worker);
    waits = typeof value?.then === "function";
    return waits ? value.finally(() => connect(before)) : value;
  } finally {
    if (!waits) connect(before);
  }
}
