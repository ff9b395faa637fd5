//! Types of the component model by chance, values of them, and a component that gives them back.

use std::fmt::Write;

use umbel_value::{Map, Value};

use crate::chance::Chance;

/// A type by its place in [`Types`].
pub(crate) type Id = usize;

enum Type {
    Bool,
    /// Signed, bits.
    Int(bool, u32),
    F32,
    F64,
    Char,
    Text,
    List(Id),
    Tuple(Vec<Id>),
    Option(Id),
    Result(Option<Id>, Option<Id>),
    Record(Vec<Id>),
    Variant(Vec<Option<Id>>),
    Enum(usize),
    Flags(usize),
}

/// Types that may name each other.
#[derive(Default)]
pub(crate) struct Types(Vec<Type>);

impl Types {
    /// A type at most so many levels deep.
    pub(crate) fn generate(&mut self, chance: &mut Chance, depth: usize) -> Id {
        let many = 1 + chance.below(4);
        let ty = match chance.below(if depth == 0 { 6 } else { 16 }) {
            0 => Type::Bool,
            1 | 6 => Type::Int(chance.once_in(2), 8 << chance.below(4)),
            2 => Type::F32,
            3 => Type::F64,
            4 => Type::Char,
            5 => Type::Text,
            7 | 8 => Type::List(self.generate(chance, depth - 1)),
            9 => Type::Tuple((0..many).map(|_| self.generate(chance, depth - 1)).collect()),
            10 => Type::Option(self.generate(chance, depth - 1)),
            11 => {
                let mut side = |chance: &mut Chance| {
                    (!chance.once_in(3)).then(|| self.generate(chance, depth - 1))
                };
                Type::Result(side(chance), side(chance))
            }
            12 | 13 => Type::Record((0..many).map(|_| self.generate(chance, depth - 1)).collect()),
            14 => {
                let mut case = || (!chance.once_in(3)).then(|| self.generate(chance, depth - 1));
                Type::Variant((0..many).map(|_| case()).collect())
            }
            _ if chance.once_in(2) => Type::Enum(1 + chance.below(300)),
            _ => Type::Flags(1 + chance.below(32)),
        };
        self.0.push(ty);
        self.0.len() - 1
    }

    /// A component with a function that takes a list of this type and gives it back.
    pub(crate) fn echo(&self, id: Id) -> String {
        let mut types = String::new();
        for (number, ty) in self.0.iter().enumerate().take(id + 1) {
            if let Some(definition) = self.definition(ty) {
                let _ = writeln!(
                    types,
                    "(type $d{number} {definition}) (import \"t{number}\" (type $t{number} (eq $d{number})))"
                );
            }
        }
        let ty = self.named(id);
        format!(
            r#"(component {types} {MODULE}
                (func (export "echo") (param "x" (list {ty})) (result (list {ty}))
                    (canon lift (core func $i "echo") (memory (core memory $i "memory"))
                        (realloc (core func $i "realloc")))))"#
        )
    }

    /// What must have a name of its own.
    fn definition(&self, ty: &Type) -> Option<String> {
        let words = |word: &str, count: usize| {
            let words: Vec<String> = (0..count).map(|n| format!("\"{word}-{n}\"")).collect();
            words.join(" ")
        };
        match ty {
            Type::Record(fields) => {
                let fields = fields.iter().enumerate();
                let fields: Vec<String> = fields
                    .map(|(n, id)| format!("(field \"field-{n}\" {})", self.named(*id)))
                    .collect();
                Some(format!("(record {})", fields.join(" ")))
            }
            Type::Variant(cases) => {
                let cases = cases.iter().enumerate().map(|(n, case)| {
                    let payload = case.map(|id| self.named(id)).unwrap_or_default();
                    format!("(case \"case-{n}\" {payload})")
                });
                Some(format!("(variant {})", cases.collect::<Vec<_>>().join(" ")))
            }
            Type::Enum(count) => Some(format!("(enum {})", words("name", *count))),
            Type::Flags(count) => Some(format!("(flags {})", words("flag", *count))),
            _ => None,
        }
    }

    fn named(&self, id: Id) -> String {
        match &self.0[id] {
            Type::Bool => "bool".to_owned(),
            Type::Int(true, bits) => format!("s{bits}"),
            Type::Int(false, bits) => format!("u{bits}"),
            Type::F32 => "f32".to_owned(),
            Type::F64 => "f64".to_owned(),
            Type::Char => "char".to_owned(),
            Type::Text => "string".to_owned(),
            Type::List(item) => format!("(list {})", self.named(*item)),
            Type::Tuple(items) => {
                let items: Vec<String> = items.iter().map(|id| self.named(*id)).collect();
                format!("(tuple {})", items.join(" "))
            }
            Type::Option(inner) => format!("(option {})", self.named(*inner)),
            Type::Result(ok, err) => {
                let ok = ok.map(|id| self.named(id)).unwrap_or_default();
                let err = err.map(|id| format!("(error {})", self.named(id))).unwrap_or_default();
                format!("(result {ok} {err})")
            }
            _ => format!("$t{id}"),
        }
    }

    /// A value of this type, as it comes back.
    pub(crate) fn value(&self, id: Id, chance: &mut Chance) -> Value {
        match &self.0[id] {
            Type::Bool => Value::Bool(chance.once_in(2)),
            Type::Int(signed, bits) => integer(*signed, *bits, chance),
            Type::F32 => Value::Float(float(chance)),
            Type::F64 => Value::Float(float(chance)),
            Type::Char => Value::Text(character(chance).to_string()),
            Type::Text => Value::Text((0..chance.below(20)).map(|_| character(chance)).collect()),
            Type::List(item) => {
                let items: Vec<Value> =
                    (0..chance.below(6)).map(|_| self.value(*item, chance)).collect();
                match self.0[*item] {
                    Type::Int(false, 8) => octets(&items),
                    _ => Value::List(items),
                }
            }
            Type::Tuple(items) => {
                Value::List(items.iter().map(|id| self.value(*id, chance)).collect())
            }
            Type::Option(_) if chance.once_in(3) => Value::Null,
            Type::Option(inner) => self.value(*inner, chance),
            Type::Result(ok, err) => {
                let (key, side) = if chance.once_in(2) { ("ok", ok) } else { ("err", err) };
                let payload = side.map(|id| self.value(id, chance)).unwrap_or_default();
                Value::Map(Map::from_iter([(key.to_owned(), payload)]))
            }
            Type::Record(fields) => {
                let fields = fields.iter().enumerate();
                let fields = fields.map(|(n, id)| (format!("field_{n}"), self.value(*id, chance)));
                Value::Map(fields.collect())
            }
            Type::Variant(cases) => {
                let number = chance.below(cases.len());
                let name = format!("case-{number}");
                match cases[number] {
                    Some(id) => Value::Map(Map::from_iter([(name, self.value(id, chance))])),
                    None => Value::Text(name),
                }
            }
            Type::Enum(count) => Value::Text(format!("name-{}", chance.below(*count))),
            Type::Flags(count) => {
                let set = (0..*count).filter(|_| chance.once_in(2));
                Value::List(set.map(|n| Value::Text(format!("flag-{n}"))).collect())
            }
        }
    }

    /// One value of u8 as the list of one that it was sent in.
    pub(crate) fn as_bytes(&self, value: &Value) -> Value {
        octets(std::slice::from_ref(value))
    }
}

fn octets(items: &[Value]) -> Value {
    let byte = |item: &Value| item.as_u64().and_then(|number| u8::try_from(number).ok());
    Value::Bytes(items.iter().filter_map(byte).collect())
}

fn integer(signed: bool, bits: u32, chance: &mut Chance) -> Value {
    // The borders more often than what lies between.
    let shift = 64 - bits;
    let wide = match chance.below(4) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << (bits - 1),
        _ => chance.number(),
    };
    match signed {
        true => Value::Int(((wide << shift) as i64) >> shift),
        false => Value::from((wide << shift) >> shift),
    }
}

/// Such as a single holds exactly, too.
fn float(chance: &mut Chance) -> f64 {
    match chance.below(6) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => -0.0,
        _ => (chance.below(1 << 20) as f64 - 500_000.0) / 8.0,
    }
}

fn character(chance: &mut Chance) -> char {
    let most = [0x80, 0x800, 0x1_0000, 0x11_0000][chance.below(4)];
    char::from_u32(chance.below(most) as u32).unwrap_or('\u{fffd}')
}

/// The core instance `$i`: memory, a bump allocator that grows it, and `echo` for any list.
const MODULE: &str = r#"
    (core module $m
        (memory (export "memory") 1)
        (global $next (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $p i32)
            (local.set $p (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
            (global.set $next (i32.add (local.get $p) (local.get 3)))
            (block $enough
                (loop $more
                    (br_if $enough (i32.le_u (global.get $next)
                        (i32.mul (memory.size) (i32.const 65536))))
                    (drop (memory.grow (i32.const 16)))
                    (br $more)))
            (local.get $p))
        (func (export "echo") (param i32 i32) (result i32)
            (i32.store (i32.const 16) (local.get 0))
            (i32.store (i32.const 20) (local.get 1))
            (i32.const 16)))
    (core instance $i (instantiate $m))"#;
