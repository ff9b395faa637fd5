//! Seeds into inputs: the same seed and number always give the same one.

use umbel_value::Value;

/// Bytes that parsers of our formats stumble over.
const SPICES: [&[u8]; 24] = [
    b"\0",
    b"\xff",
    b"\n",
    b"\"",
    b"\\u",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"null",
    b"NaN",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"!!python/tuple ",
    b"&a ",
    b"*a ",
    b"- ",
    b"\xdd\xff\xff\xff\xff",
    b"\xc1",
    b"\xd4\x01\x00",
    b"{\"__type__\":\"uuid\",\"__value__\":1}",
];

/// A small generator of numbers (SplitMix64).
pub struct Chance(pub u64);

impl Chance {
    /// A number below `limit`, which is not zero.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((number ^ number >> 31) % limit.max(1) as u64) as usize
    }
}

/// An input made of these seeds.
pub fn input(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut data = seeds[chance.below(seeds.len())].clone();
    let other = &seeds[chance.below(seeds.len())];
    if chance.below(3) > 0 {
        data = grafted(&data, other, chance).unwrap_or(data);
    }
    for _ in 0..chance.below(5) {
        spoil(&mut data, other, chance);
    }
    data.truncate(1 << 16);
    data
}

/// One change without regard to what the bytes mean.
fn spoil(data: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    let at = chance.below(data.len() + 1);
    let end = (at + chance.below(9)).min(data.len());
    match chance.below(7) {
        0 => data.truncate(at),
        1 => drop(data.drain(at..end)),
        2 => drop(data.splice(at..end, SPICES[chance.below(SPICES.len())].iter().copied())),
        3 => {
            let repeated = data[at..end].repeat(chance.below(300));
            data.splice(at..end, repeated);
        }
        4 => {
            let from = chance.below(other.len() + 1);
            let until = (from + chance.below(200)).min(other.len());
            data.splice(at..end, other[from..until].iter().copied());
        }
        _ => {
            if let Some(byte) = data.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
    }
}

/// The JSON in one input with parts of another's, still JSON.
fn grafted(data: &[u8], other: &[u8], chance: &mut Chance) -> Option<Vec<u8>> {
    let (front, json) = split(data);
    let mut tree = Value::from_json(json).ok()?;
    let donor = Value::from_json(split(other).1).unwrap_or_default();
    for _ in 0..=chance.below(3) {
        let parts = parts(&donor);
        let mut part = parts[chance.below(parts.len())].clone();
        if chance.below(20) == 0 {
            part = nested(part, chance.below(500), chance.below(2) == 0);
        }
        graft(&mut tree, part, chance);
    }
    Some([front, tree.to_json().as_bytes()].concat())
}

/// A part far down in lists, or in chains of chains.
fn nested(part: Value, levels: usize, in_chains: bool) -> Value {
    (0..levels).fold(part, |part, _| match in_chains {
        true => Value::from([
            ("task", "celery.chain".into()),
            ("kwargs", [("tasks", vec![part].into())].into()),
            ("subtask_type", "chain".into()),
        ]),
        false => vec![part].into(),
    })
}

/// What stands before the JSON of an input: the two lines of a message, or nothing.
fn split(data: &[u8]) -> (&[u8], &[u8]) {
    let mut lines = data.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    match (data.first(), lines.nth(1)) {
        (Some(b'{' | b'['), _) | (_, None) => data.split_at(0),
        (_, Some((at, _))) => data.split_at(at + 1),
    }
}

/// A value and all that is in it.
fn parts(value: &Value) -> Vec<Value> {
    let mut all = vec![value.clone()];
    match value {
        Value::List(items) => all.extend(items.iter().flat_map(parts)),
        Value::Map(map) => all.extend(map.values().flat_map(parts)),
        _ => {}
    }
    all
}

/// Puts a part somewhere into a tree, takes something out, or repeats something.
fn graft(tree: &mut Value, part: Value, chance: &mut Chance) {
    let deeper = chance.below(4) > 0;
    match tree {
        Value::List(items) if deeper && !items.is_empty() => {
            let at = chance.below(items.len());
            graft(&mut items[at], part, chance);
        }
        Value::Map(map) if deeper && !map.is_empty() => {
            let at = chance.below(map.len());
            graft(&mut map[at], part, chance);
        }
        Value::List(items) if !items.is_empty() => {
            let at = chance.below(items.len());
            match chance.below(3) {
                0 => drop(items.remove(at)),
                1 => items.extend(vec![items[at].clone(); chance.below(40)]),
                _ => items.insert(at, part),
            }
        }
        Value::Map(map) if !map.is_empty() => {
            let at = chance.below(map.len());
            match chance.below(2) {
                0 => drop(map.shift_remove_index(at)),
                _ => map[at] = part,
            }
        }
        leaf => *leaf = part,
    }
}
