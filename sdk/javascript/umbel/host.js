// The worker behind a running task: guest.js puts the real one here, testing.js one that only notes.

let connected;
let current;

/** From now on this worker is asked; gives the one before. */
export function connect(worker) {
  const before = connected;
  connected = worker;
  current = undefined;
  return before;
}

/** The worker of the running task. */
export function host() {
  if (connected === undefined) {
    throw new Error("no task is running; in a test, call it within `task()` of umbel/testing");
  }
  return connected;
}

/** The request of the running task, asked for once. */
export function request() {
  return (current ??= host().current());
}

/** Another run begins. */
export function forget() {
  current = undefined;
}
