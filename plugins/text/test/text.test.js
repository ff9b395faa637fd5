import assert from "node:assert/strict";
import { it } from "node:test";

import { contents, excerpt, toHtml } from "../src/text.js";

it("escapes HTML and refuses links to scripts", () => {
  const html = toHtml("<b>*a*</b> [x](javascript:alert(1))");
  assert.match(html, /&lt;b&gt;<em>a<\/em>/);
  assert.doesNotMatch(html, /href/);
});

it("finds headings and the first words", () => {
  const text = "# One `two`\n\nThree *four*\nfive.\n\n## Six\n";
  assert.deepEqual(contents(text), [
    { level: 1, title: "One two" },
    { level: 2, title: "Six" },
  ]);
  assert.equal(excerpt(text), "Three four five.");
  assert.equal(excerpt(text, 2), "Three four …");
});
