// Written by `umbel build` from the WIT beside it; changes here are lost.

/** The tasks. */
export interface Tasks {
  /** The lowest, the highest and the mean of some numbers. */
  summarize(numbers: number[]): Summary;
  /**
   * Numbers out of rows of text. A row that says `pending` has its number later: the task comes
   * back for it, and waits twice as long each time.
   */
  load(rows: string[]): number[];
}

/** What is to be known of some numbers. */
export interface Summary {
  lowest: number;
  highest: number;
  mean: number;
}
