// Markdown to HTML, in JavaScript. wit/text.wit has the types: change both together.

import MarkdownIt from "markdown-it";

const markdown = new MarkdownIt({ html: false, linkify: true });

/** @type {import("../wit/text.js").Tasks["toHtml"]} */
export function toHtml(text) {
  return markdown.render(text);
}

/** @type {import("../wit/text.js").Tasks["contents"]} */
export function contents(text) {
  return blocks(text, "heading_open").map(([{ tag }, inline]) => ({ level: Number(tag.slice(1)), title: plain(inline) }));
}

/** @type {import("../wit/text.js").Tasks["excerpt"]} */
export function excerpt(text, words = 30) {
  const all = blocks(text, "paragraph_open").flatMap(([, inline]) => split(plain(inline)));
  return all.slice(0, words).join(" ") + (all.length > words ? " …" : "");
}

/** @type {import("../wit/text.js").Tasks["count"]} */
export function count(text) {
  return {
    lines: text === "" ? 0 : text.replace(/\n$/, "").split("\n").length,
    words: split(text).length,
    characters: [...text].length,
  };
}

/** Blocks of a kind: what opens each, and what is in it. */
function blocks(text, type) {
  const tokens = markdown.parse(text, {});
  return tokens.flatMap((token, at) => (token.type === type ? [[token, tokens[at + 1]]] : []));
}

/** Text without its marks. */
function plain({ children }) {
  const texts = { text: (token) => token.content, code_inline: (token) => token.content, softbreak: () => " " };
  return children.map((token) => texts[token.type]?.(token) ?? "").join("");
}

function split(text) {
  return text.split(/\s+/u).filter((word) => word !== "");
}
