// Counts how often pages are looked at. wit/visits.wit has the types: change both together.

import { increment } from "wasi:keyvalue/atomics@0.2.0-draft";
import { getMany } from "wasi:keyvalue/batch@0.2.0-draft";
import { open } from "wasi:keyvalue/store@0.2.0-draft";

import type { Page, Tasks } from "../wit/visits.js";

const BUCKET = "visits";

/** Counts in one step: no visit is lost when many are counted at once. */
export const hit: Tasks["hit"] = (path, by = 1) => increment(open(BUCKET), path, by);

/** The pages with most visits, and by their paths among those with as many. */
export const top: Tasks["top"] = (count = 10) => {
  const order = (a: Page, b: Page) => Number(b.visits - a.visits) || (a.path < b.path ? -1 : 1);
  return pages().sort(order).slice(0, count);
};

/** Forgets a page. */
export const forget: Tasks["forget"] = (path) => open(BUCKET).delete(path);

/** All pages; the store tells their names in pieces. */
function pages(): Page[] {
  const bucket = open(BUCKET);
  const found: Page[] = [];
  let cursor: bigint | null = null;
  do {
    const piece = bucket.listKeys(cursor);
    for (const entry of getMany(bucket, piece.keys)) {
      // None: forgotten meanwhile.
      if (entry) found.push({ path: entry[0], visits: BigInt(String.fromCharCode(...entry[1])) });
    }
    cursor = piece.cursor;
  } while (cursor !== null);
  return found;
}
