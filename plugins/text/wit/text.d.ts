// Written by `umbel build` from the WIT beside it; changes here are lost.

/** What the plugin can do. */
export interface Tasks {
  /**
   * Markdown (CommonMark with tables, strikethrough and bare links) as HTML. HTML inside the
   * text is escaped and links to scripts are refused, so the result can go into a page.
   */
  toHtml(markdown: string): string;
  /** The headings of a Markdown text. */
  contents(markdown: string): Heading[];
  /** The first words of a Markdown text without its marks and headings; 30 unless said. */
  excerpt(markdown: string, words?: number): string;
  /** Lines, words and characters of a text. */
  count(text: string): Size;
}

/** A line of a table of contents. */
export interface Heading {
  /** From 1 to 6. */
  level: number;
  title: string;
}

/** How much text there is. */
export interface Size {
  lines: number;
  words: number;
  /** Characters as people count them, not bytes. */
  characters: number;
}
