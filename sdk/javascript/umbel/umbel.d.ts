/**
 * What a task in JavaScript or TypeScript may say and ask: how it ends, who called it, how far it is, what it sends.
 *
 * A task is an exported function. What it throws is its failure, with the error's name and message; `Retry`, `Reject`
 * and `Ignore` end it in other ways. All times are in seconds, as everywhere in Celery.
 */

/** A value that JSON can hold; dates and bytes travel with kombu's tags, decimals and UUIDs arrive as text. */
export type Json = null | boolean | number | string | Date | Uint8Array | Json[] | { [key: string]: Json };

/** Thrown by a task that wants to be run again. What is not given is up to the task's policy. */
export class Retry extends Error {
  readonly after: number | undefined;
  readonly max: number | undefined;
  constructor(
    message?: string,
    options?: {
      /** What went wrong; the caller sees it while the task waits. Without one it is the message. */
      cause?: unknown;
      /** How long to wait. */
      after?: number;
      /** The most retries to allow. */
      max?: number;
    },
  );
}

/** Thrown by a task that does not take its message: to the dead letters, or into its queue again. */
export class Reject extends Error {
  readonly requeue: boolean;
  constructor(message?: string, options?: { requeue?: boolean });
}

/** Thrown by a task of which nothing is to be stored. */
export class Ignore extends Error {
  constructor(message?: string);
}

/** A failure whose name the task chooses: `kind` is what the caller sees as the exception's type. */
export class Failure extends Error {
  readonly data: unknown;
  constructor(message: string, options?: { kind?: string; data?: unknown });
}

/** How the message reached this worker. */
export interface Delivery {
  readonly exchange: string;
  readonly routingKey: string;
  readonly priority: number | undefined;
  readonly redelivered: boolean;
}

/** The message that started this run. */
export interface Context {
  /** The task's id, kept by its retries. */
  readonly id: string;
  /** The name the task was called by. */
  readonly name: string;
  /** Positional arguments as the caller gave them. */
  readonly args: Json[];
  /** Keyword arguments as the caller gave them. */
  readonly kwargs: { [name: string]: Json };
  /** How often this task has been retried. */
  readonly retries: number;
  /** Id of the first task of the workflow. */
  readonly rootId: string;
  /** Id of the task that sent this one. */
  readonly parentId: string | undefined;
  /** Id of the group this task is a member of. */
  readonly groupId: string | undefined;
  /** This task's position in its group. */
  readonly groupIndex: number | undefined;
  /** Not before this instant. */
  readonly eta: Date | undefined;
  /** Not after this instant. */
  readonly expires: Date | undefined;
  /** The hard time limit of this run. */
  readonly timeLimit: number | undefined;
  /** The soft time limit of this run. */
  readonly softTimeLimit: number | undefined;
  /** Where the caller waits for the result, if it said so. */
  readonly replyTo: string | undefined;
  /** The caller's mark on request and result. */
  readonly correlationId: string;
  /** How the message reached this worker. */
  readonly delivery: Delivery;
  /** The caller's own headers. */
  readonly headers: { [name: string]: Json };
  /** Stamps by name. */
  readonly stamps: { [name: string]: Json };
  /** Time until the hard time limit ends this run. */
  remaining(): number;
  /** Time until the soft time limit; none if this run has none. */
  softRemaining(): number | undefined;
  /** The soft limit does not end this run any more: the task looks at the time and returns before the hard one. */
  takeSoftLimit(): void;
}

/** Of the task that runs. */
export const context: Context;

/**
 * Stores a state of the task's own, seen by the caller as `AsyncResult.state` and `.info`. Returns at once; of many
 * updates the latest is sure to be stored. Celery's own state names are refused by ending the task.
 */
export function progress(state: string, meta?: unknown): void;

/** Writes lines to the worker's log; `console` does so as well. */
export const log: {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warning(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
};

/** How a task is sent. Whatever is not given: as tasks of its name usually are. */
export interface SubmitOptions {
  queue?: string;
  /** How long to wait before it may run. */
  countdown?: number;
  /** After how long it must not start any more. */
  expires?: number;
  priority?: number;
  timeLimit?: number;
  softTimeLimit?: number;
  ignoreResult?: boolean;
  headers?: { [name: string]: unknown };
}

/**
 * Sends a task and gives its id, as Celery's `send_task`. The component imports `umbel:task/tasks`, and the plugin
 * needs a grant that names what it sends. What is refused throws a `Failure` of the kinds `PermissionError` (no such
 * grant), `ValueError` (makes no sense) or `RuntimeError` (too much).
 */
export function submit(name: string, args?: unknown[], kwargs?: { [name: string]: unknown }, options?: SubmitOptions): string;

/** A task or a canvas to be sent, in Celery's own form. */
export interface Signature {
  task: string;
  args: unknown[];
  kwargs: { [name: string]: unknown };
  options: { [name: string]: unknown };
  subtask_type: string | null;
  immutable: boolean;
}

/** Sends a canvas with these arguments before its own; gives Celery's `AsyncResult.as_tuple`. */
export function apply(canvas: Signature, args?: unknown[]): Json;

/** Puts a canvas in this task's place and ends this run; its result becomes this task's result. */
export function replace(canvas: Signature): never;

/** Adds a canvas to the chord whose header this task is in; gives what `apply` gives. */
export function addToChord(canvas: Signature): Json;

/** A task with arguments; `options` are those of Celery's `apply_async`, and `immutable`. */
export function signature(
  name: string,
  args?: unknown[],
  kwargs?: { [name: string]: unknown },
  options?: { immutable?: boolean; [name: string]: unknown },
): Signature;

/** One after the other, each with the result of the one before as its first argument. */
export function chain(...tasks: Signature[]): Signature;

/** All at once. */
export function group(...tasks: Signature[]): Signature;

/** All of the header at once, then the body with the list of their results as its first argument. */
export function chord(header: Signature[], body: Signature): Signature;

/** Reads JSON text; what carries one of kombu's tags becomes what it stands for. */
export function parse(text: string): Json;

/** Writes a value as JSON text; one without a JSON form throws a `TypeError`. */
export function stringify(value: unknown): string;
