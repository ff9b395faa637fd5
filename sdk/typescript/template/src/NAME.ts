// Tasks that umbel runs. wit/NAME.wit has their types: change both together.

import { Retry, context, progress } from "umbel";

import type { Tasks } from "../wit/NAME.js";

/** The lowest, the highest and the mean of some numbers. */
export const summarize: Tasks["summarize"] = (numbers) => {
  if (numbers.length === 0) throw new RangeError("no numbers to summarize");
  const sum = numbers.reduce((sum, number) => sum + number, 0);
  return { lowest: Math.min(...numbers), highest: Math.max(...numbers), mean: sum / numbers.length };
};

/** Numbers out of rows of text; comes back for those that are pending. */
export const load: Tasks["load"] = (rows) =>
  rows.map((row, index) => {
    if (row === "pending") throw new Retry(`row ${index + 1} is pending`, { after: 2 ** context.retries });
    const number = Number(row);
    if (Number.isNaN(number)) throw new TypeError(`row ${index + 1} is no number: ${row}`);
    progress("PROGRESS", { done: index + 1, total: rows.length });
    return number;
  });
