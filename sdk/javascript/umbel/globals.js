// What most of JavaScript's world has and a bare engine lacks: imported before an author's module.

import { started, worker } from "./guest.js";

const LEVELS = { debug: "debug", log: "info", info: "info", warn: "warning", error: "error", trace: "debug" };

function shown(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return `${value}\n${value.stack ?? ""}`.trimEnd();
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

function writer(level) {
  // Before a task runs there is no worker: what a module prints while it loads is dropped.
  return (...values) => {
    if (started()) worker().log(level, values.map(shown).join(" "), "");
  };
}

const quiet = () => {};

globalThis.console = {
  ...Object.fromEntries(Object.entries(LEVELS).map(([name, level]) => [name, writer(level)])),
  assert: (holds, ...values) => holds || globalThis.console.error("assertion failed:", ...values),
  dir: writer("info"),
  table: writer("info"),
  group: writer("info"),
  groupEnd: quiet,
  time: quiet,
  timeEnd: quiet,
  count: quiet,
};

class Encoder {
  get encoding() {
    return "utf-8";
  }

  encode(text = "") {
    const bytes = [];
    for (const character of String(text)) {
      let code = character.codePointAt(0);
      if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
      if (code < 0x80) bytes.push(code);
      else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
    return Uint8Array.from(bytes);
  }
}

class Decoder {
  #fatal;

  constructor(label = "utf-8", { fatal = false } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`TextDecoder knows utf-8 only, not ${label}`);
    this.#fatal = fatal;
  }

  get encoding() {
    return "utf-8";
  }

  decode(input = new Uint8Array()) {
    const bytes = input instanceof ArrayBuffer ? new Uint8Array(input) : input;
    let text = "";
    for (let i = 0; i < bytes.length; ) {
      const [code, length] = character(bytes, i);
      if (code === undefined && this.#fatal) throw new TypeError("The encoded data was not valid utf-8");
      text += String.fromCodePoint(code ?? 0xfffd);
      i += length;
    }
    return text.startsWith("\ufeff") ? text.slice(1) : text;
  }
}

/** The code point at this place, none if it is no UTF-8, and how many bytes it takes. */
function character(bytes, at) {
  const first = bytes[at];
  if (first < 0x80) return [first, 1];
  const more = first >= 0xf0 && first < 0xf5 ? 3 : first >= 0xe0 ? 2 : first >= 0xc2 && first < 0xe0 ? 1 : 0;
  if (more === 0 || first >= 0xf5) return [undefined, 1];
  let code = first & (0x3f >> more);
  for (let i = 1; i <= more; i++) {
    if ((bytes[at + i] & 0xc0) !== 0x80) return [undefined, i];
    code = (code << 6) | (bytes[at + i] & 63);
  }
  const least = [0, 0x80, 0x800, 0x10000][more];
  const wrong = code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff);
  return wrong ? [undefined, more + 1] : [code, more + 1];
}

globalThis.TextEncoder ??= Encoder;
globalThis.TextDecoder ??= Decoder;
