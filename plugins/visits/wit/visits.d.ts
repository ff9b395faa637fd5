// Written by `umbel build` from the WIT beside it; changes here are lost.

/** What the plugin can do. */
export interface Tasks {
  /** Counts a visit of a page, or several, and gives how many there were. */
  hit(path: string, by?: number): bigint;
  /** The pages with most visits; ten unless said. */
  top(count?: number): Page[];
  /** Forgets a page. */
  forget(path: string): void;
}

/** How often a page was looked at. */
export interface Page {
  path: string;
  visits: bigint;
}
