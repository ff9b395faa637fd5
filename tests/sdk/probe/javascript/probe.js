// Each shape of types and each ending, in JavaScript.

import { Failure, Ignore, Reject, Retry, context, progress, submit } from "umbel";

export const echo = (value) => value;

export const numbers = (...values) => values;

export function colors(color, access, shape) {
  if (color !== "red" || !access.canRead || access.canWrite) throw new Error("not as they were sent");
  return ["light-green", { canWrite: true }, shape.val === 2 ? { tag: "nothing" } : shape];
}

export function measure(text, factor = 3) {
  if (text === "wrong") return { lines: -1, extra: null };
  return { lines: text.split("\n").length * factor, extra: [new Uint8Array([255]), null] };
}

export function ending(how) {
  class LookupError extends Error {}
  switch (how) {
    case "retry":
      throw new Retry("busy", { cause: Object.assign(new Error("no net"), { name: "ConnectionError" }), after: 1.5, max: 2 });
    case "reject":
      throw new Reject("busy", { requeue: true });
    case "ignore":
      throw new Ignore();
    case "failure":
      throw new Failure("nobody", { kind: "NotFound", data: [1] });
    case "builtin":
      throw new LookupError("no such row");
  }
  return how;
}

export const textEnding = (how) => ending(how);

export function tell() {
  progress("PROGRESS", { done: 1 });
  console.warn("%d left".replace("%d", 2));
  return [context.retries, context.args, context.eta, context.delivery.redelivered, context.remaining() > 1];
}

export const send = (name) => submit(name, [1], { a: 2 }, { countdown: 2 });
