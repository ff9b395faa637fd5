// Values between WIT's types and JavaScript's: what a component takes and gives, by the shape of its type.
// A shape is text ("u32", "json", "bytes") or an object of one entry ({ list: shape }, { record: {…} }).

import { parse, stringify } from "./values.js";

/** A value that does not fit its type, and where in the whole it lies. */
export class Misfit extends TypeError {
  constructor(expected, value, where = "") {
    const text = shown(value);
    super(`${where === "" ? "" : `${where} is `}${text.length <= 60 ? text : `${text.slice(0, 57)}...`}, not ${expected}`);
    this.name = "TypeError";
    this.expected = expected;
    this.value = value;
    this.where = where;
  }
}

function shown(value) {
  if (typeof value === "function") return "a function";
  if (typeof value === "bigint") return `${value}n`;
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

function opened(shape) {
  return typeof shape === "object" && shape !== null ? Object.entries(shape)[0] : ["", undefined];
}

/** What makes an argument of this shape what a task is to see. */
export function lifter(shape) {
  if (shape === "json") return parse;
  if (shape === "u64") return BigInt;
  // StarlingMonkey shows 64 bits without their sign.
  if (shape === "s64") return (value) => BigInt.asIntN(64, BigInt(value));
  // QuickJS shows 32 bits with their sign, whatever the type says.
  if (shape === "u32") return (value) => value >>> 0;
  if (shape === "bytes") return (value) => (value instanceof Uint8Array ? value : Uint8Array.from(value));
  const [kind, inner] = opened(shape);
  const lift = LIFTERS[kind];
  return lift === undefined ? asIs : lift(inner);
}

const asIs = (value) => value;

const LIFTERS = {
  // Absent is undefined, so that a parameter's default value counts.
  option(inner) {
    if (opened(inner)[0] === "option") return asIs;
    const lift = lifter(inner);
    return (value) => (value == null ? undefined : lift(value));
  },
  list(inner) {
    const lift = lifter(inner);
    return lift === asIs ? asIs : (values) => Array.from(values, lift);
  },
  tuple(members) {
    const lifts = members.map(lifter);
    return (values) => lifts.map((lift, i) => lift(values[i]));
  },
  record(fields) {
    const lifts = Object.entries(fields).map(([name, field]) => [name, lifter(field)]);
    return (value) => Object.fromEntries(lifts.map(([name, lift]) => [name, lift(value[name])]));
  },
};

/** What makes a task's result one of this shape for this engine; `Misfit` where that cannot be. */
export function lowerer(shape, engine) {
  if (typeof shape === "string") return SIMPLE[shape]?.(engine) ?? asIs;
  const [kind, inner] = opened(shape);
  const lower = LOWERERS[kind];
  return lower === undefined ? asIs : lower(inner, engine);
}

function typed(expected, type) {
  return () => (value) => {
    if (typeof value === type) return value;
    throw new Misfit(expected, value);
  };
}

function small(name, least, most) {
  return (engine) => (value) => {
    if (!Number.isInteger(value) || value < least || value > most) throw new Misfit(`a ${name}`, value);
    // And it reads them so.
    return engine === "quickjs" ? value | 0 : value;
  };
}

function large(name, least, most) {
  return (engine) => (value) => {
    if (typeof value !== "bigint" && !Number.isInteger(value)) throw new Misfit(`a ${name}`, value);
    const whole = BigInt(value);
    if (whole < least || whole > most) throw new Misfit(`a ${name}`, value);
    if (engine !== "quickjs") return whole;
    if (BigInt(Number(whole)) === whole) return Number(whole);
    throw new Misfit(`a ${name} that this engine can return: it has no more than 53 bits`, value);
  };
}

const SIMPLE = {
  bool: typed("a boolean", "boolean"),
  string: typed("a string", "string"),
  f32: typed("a number", "number"),
  f64: typed("a number", "number"),
  s8: small("s8", -(2 ** 7), 2 ** 7 - 1),
  s16: small("s16", -(2 ** 15), 2 ** 15 - 1),
  s32: small("s32", -(2 ** 31), 2 ** 31 - 1),
  u8: small("u8", 0, 2 ** 8 - 1),
  u16: small("u16", 0, 2 ** 16 - 1),
  u32: small("u32", 0, 2 ** 32 - 1),
  s64: large("s64", -(2n ** 63n), 2n ** 63n - 1n),
  u64: large("u64", 0n, 2n ** 64n - 1n),
  json: () => stringify,
  char: () => (value) => {
    if (typeof value === "string" && [...value].length === 1) return value;
    throw new Misfit("a single character", value);
  },
  bytes: () => (value) => {
    if (value instanceof Uint8Array) return value;
    if (value instanceof ArrayBuffer) return new Uint8Array(value);
    if (Array.isArray(value) && value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte < 256)) {
      return Uint8Array.from(value);
    }
    throw new Misfit("a Uint8Array", value);
  },
};

const LOWERERS = {
  option(inner, engine) {
    if (opened(inner)[0] === "option") return asIs;
    const lower = lowerer(inner, engine);
    const none = engine === "quickjs" ? null : undefined;
    return (value) => (value == null ? none : lower(value));
  },
  list(inner, engine) {
    const lower = lowerer(inner, engine);
    return (values) => {
      if (typeof values !== "object" || typeof values?.[Symbol.iterator] !== "function") {
        throw new Misfit("an array", values);
      }
      return Array.from(values, (value, i) => at(`[${i}]`, lower, value));
    };
  },
  tuple(members, engine) {
    const lowers = members.map((member) => lowerer(member, engine));
    return (values) => {
      if (!Array.isArray(values) || values.length !== lowers.length) {
        throw new Misfit(`an array of ${lowers.length}`, values);
      }
      return lowers.map((lower, i) => at(`[${i}]`, lower, values[i]));
    };
  },
  record(fields, engine) {
    const lowers = Object.entries(fields).map(([name, field]) => [name, lowerer(field, engine)]);
    return (value) => {
      if (typeof value !== "object" || value === null) throw new Misfit("an object", value);
      return Object.fromEntries(lowers.map(([name, lower]) => [name, at(`.${name}`, lower, value[name])]));
    };
  },
  enum(names) {
    return (value) => {
      if (names.includes(value)) return value;
      throw new Misfit(`one of ${names.join(", ")}`, value);
    };
  },
  flags(names) {
    return (value) => {
      if (typeof value === "object" && value !== null) return value;
      throw new Misfit(`an object of ${names.join(", ")}`, value);
    };
  },
  variant(cases, engine) {
    const lowers = new Map(Object.entries(cases).map(([name, of]) => [name, of === null ? asIs : lowerer(of, engine)]));
    return (value) => {
      const lower = lowers.get(value?.tag);
      if (lower === undefined) throw new Misfit(`a { tag, val } with a tag of ${[...lowers.keys()].join(", ")}`, value);
      return { tag: value.tag, val: at(".val", lower, value.val) };
    };
  },
};

function at(where, lower, value) {
  try {
    return lower(value);
  } catch (error) {
    if (error instanceof Misfit) throw new Misfit(error.expected, error.value, where + error.where);
    throw error;
  }
}
