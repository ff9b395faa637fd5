// JSON text and JavaScript's values: dates and bytes as kombu tags them.

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const READERS = {
  datetime: (value) => new Date(/[zZ]|[+-]\d\d:?\d\d$/.test(value) ? value : `${value}Z`),
  date: (value) => value,
  time: (value) => value,
  decimal: (value) => value,
  uuid: ({ hex }) => hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"),
  base64: fromBase64,
  bytes: (value) => new TextEncoder().encode(value),
};

export function parse(text) {
  return JSON.parse(text, (_, found) => {
    if (found === null || typeof found !== "object" || !("__type__" in found && "__value__" in found)) return found;
    const read = Object.hasOwn(READERS, found.__type__) ? READERS[found.__type__] : undefined;
    return read === undefined ? found : read(found.__value__);
  });
}

export function stringify(value) {
  const text = JSON.stringify(value, function (key, found) {
    const whole = this[key]; // what it was before its toJSON
    if (whole instanceof Date) return tag("datetime", whole.toISOString());
    if (whole instanceof Uint8Array) return tag("base64", toBase64(whole));
    if (whole instanceof ArrayBuffer) return tag("base64", toBase64(new Uint8Array(whole)));
    if (ArrayBuffer.isView(whole) || whole instanceof Set) return [...whole];
    if (whole instanceof Map) return Object.fromEntries(whole);
    if (typeof found === "bigint") return small(found);
    return found;
  });
  return text ?? "null"; // undefined has no JSON form of its own
}

/** Seconds in whole milliseconds, rounded up. */
export function milliseconds(seconds) {
  return seconds == null ? undefined : Math.max(0, Math.ceil(seconds * 1000));
}

function tag(type, value) {
  return { __type__: type, __value__: value };
}

function small(number) {
  if (BigInt.asIntN(54, number) === number) return Number(number);
  throw new TypeError(`${number} is too large for a number in JSON`);
}

export function toBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const bits = (bytes[i] << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    const left = bytes.length - i;
    text += DIGITS[bits >> 18] + DIGITS[(bits >> 12) & 63];
    text += left > 1 ? DIGITS[(bits >> 6) & 63] : "=";
    text += left > 2 ? DIGITS[bits & 63] : "=";
  }
  return text;
}

export function fromBase64(text) {
  const digits = text.replace(/[=\s]/g, "");
  const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let at = 0;
  let bits = 0;
  let held = 0;
  for (const digit of digits) {
    bits = ((bits << 6) | DIGITS.indexOf(digit)) & 0xffffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes[at++] = (bits >> held) & 255;
    }
  }
  return bytes;
}
