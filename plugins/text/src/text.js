// Markdown to HTML, in JavaScript.

import MarkdownIt from "markdown-it";

const markdown = new MarkdownIt({ html: false, linkify: true });

export const tasks = {
  toHtml(text) {
    return markdown.render(text);
  },

  count(text) {
    return {
      lines: text === "" ? 0 : text.replace(/\n$/, "").split("\n").length,
      words: text.split(/\s+/u).filter((word) => word !== "").length,
      characters: [...text].length,
    };
  },
};
