// What a task may say and ask: how it ends, who called it, how far it is, what it sends. umbel.d.ts describes it.

import { host, request } from "./host.js";
import { milliseconds, parse, stringify } from "./values.js";

export { parse, stringify };

export class Retry extends Error {
  constructor(message = "retry", { cause, after, max } = {}) {
    super(message);
    this.name = "Retry";
    this.cause = cause;
    this.after = after;
    this.max = max;
  }
}

export class Reject extends Error {
  constructor(message = "reject", { requeue = false } = {}) {
    super(message);
    this.name = "Reject";
    this.requeue = requeue;
  }
}

export class Ignore extends Error {
  constructor(message = "ignore") {
    super(message);
    this.name = "Ignore";
  }
}

export class Failure extends Error {
  constructor(message, { kind = "TaskError", data } = {}) {
    super(message);
    this.name = kind;
    this.data = data;
  }
}

export const context = {
  get id() {
    return request().id;
  },
  get name() {
    return request().name;
  },
  get args() {
    return parse(request().args);
  },
  get kwargs() {
    return parse(request().kwargs);
  },
  get retries() {
    return request().retries;
  },
  get rootId() {
    return request().rootId;
  },
  get parentId() {
    return request().parentId ?? undefined;
  },
  get groupId() {
    return request().groupId ?? undefined;
  },
  get groupIndex() {
    return request().groupIndex ?? undefined;
  },
  get eta() {
    return instant(request().eta);
  },
  get expires() {
    return instant(request().expires);
  },
  get timeLimit() {
    return seconds(request().timeLimitMs);
  },
  get softTimeLimit() {
    return seconds(request().softTimeLimitMs);
  },
  get replyTo() {
    return request().replyTo ?? undefined;
  },
  get correlationId() {
    return request().correlationId;
  },
  get delivery() {
    const { exchange, routingKey, priority, redelivered } = request().delivery;
    return { exchange, routingKey, priority: priority ?? undefined, redelivered };
  },
  get headers() {
    return parse(request().headers);
  },
  get stamps() {
    return parse(request().stamps);
  },
  remaining: () => Number(host().remainingMs()) / 1000,
  softRemaining: () => seconds(host().softRemainingMs()),
  takeSoftLimit: () => host().takeSoftLimit(),
};

export function progress(state, meta = null) {
  host().progress(state, stringify(meta));
}

export const log = {
  debug: (message, fields) => line("debug", message, fields),
  info: (message, fields) => line("info", message, fields),
  warning: (message, fields) => line("warning", message, fields),
  error: (message, fields) => line("error", message, fields),
};

function line(level, message, fields) {
  host().log(level, String(message), fields === undefined ? "" : stringify(fields));
}

export function submit(name, args = [], kwargs = {}, options = {}) {
  const sent = {
    queue: options.queue,
    countdownMs: milliseconds(options.countdown),
    expiresMs: milliseconds(options.expires),
    priority: options.priority,
    timeLimitMs: milliseconds(options.timeLimit),
    softTimeLimitMs: milliseconds(options.softTimeLimit),
    ignoreResult: options.ignoreResult,
    headers: options.headers === undefined ? undefined : stringify(options.headers),
  };
  return host().submit(name, stringify(args), stringify(kwargs), sent);
}

export function apply(canvas, args = []) {
  return parse(host().apply(stringify(canvas), stringify(args)));
}

export function replace(canvas) {
  host().replace(stringify(canvas));
  throw new Ignore();
}

export function addToChord(canvas) {
  return parse(host().addToChord(stringify(canvas)));
}

export function signature(name, args = [], kwargs = {}, { immutable = false, ...options } = {}) {
  return { task: name, args, kwargs, options, subtask_type: null, immutable };
}

export const chain = (...tasks) => canvas("chain", { tasks });

export const group = (...tasks) => canvas("group", { tasks });

export const chord = (header, body) => canvas("chord", { kwargs: {}, header, body });

function canvas(kind, kwargs) {
  return { ...signature(`celery.${kind}`, [], kwargs), subtask_type: kind };
}

function instant(text) {
  return text == null ? undefined : new Date(text);
}

function seconds(ms) {
  return ms == null ? undefined : Number(ms) / 1000;
}
