/** Runs tasks without a worker, in the tests of a plugin. */

import type { Context, Delivery, Json, Signature } from "./umbel.js";

/** What a task told while it ran, and what it is told. */
export interface Worker {
  /** States and their details, all of them. */
  updates: [state: string, meta: Json][];
  /** Lines of the log. */
  lines: [level: string, message: string, fields: { [name: string]: Json }][];
  /** What was submitted; durations of its options are in milliseconds. */
  sent: { name: string; args: Json[]; kwargs: { [name: string]: Json }; options: { [name: string]: Json } }[];
  /** Canvases that were sent, with the arguments put before theirs. */
  applied: [canvas: Signature, args: Json[]][];
  /** What was added to the task's chord. */
  added: Signature[];
  /** The canvas in the task's place. */
  replacement: Signature | undefined;
  /** What `submit` and its neighbours throw, if anything. */
  refusal: Error | undefined;
  /** Seconds until the hard limit. */
  remaining: number;
  /** Seconds until the soft limit. */
  softRemaining: number | undefined;
  /** Whether the task took its soft limit upon itself. */
  tookSoftLimit: boolean;
}

/** The request of a task; `eta` and `expires` are ISO 8601. */
export type Request = Partial<
  Omit<Context, "eta" | "expires" | "delivery" | "remaining" | "softRemaining" | "takeSoftLimit"> & {
    eta: string;
    expires: string;
    delivery: Partial<Delivery>;
  }
>;

/** Calls `run` as a task with this request; gives what it gives. */
export function task<T>(request: Request, run: (worker: Worker) => T): T;
