//! The types of parameters and results, as far as values cross the boundary.

use serde::{Deserialize, Serialize};

/// A WIT type with every alias resolved. `list<u8>` and `json` are kinds of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Shape {
    Bool,
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    F32,
    F64,
    Char,
    Text,
    /// `umbel:task/types.json`: text that holds any JSON.
    Json,
    Bytes,
    List(Box<Shape>),
    FixedList(Box<Shape>, u32),
    Tuple(Vec<Shape>),
    Record(Vec<Field>),
    Variant(Vec<Case>),
    Enum(Vec<String>),
    Flags(Vec<String>),
    Option(Box<Shape>),
    Result(Option<Box<Shape>>, Option<Box<Shape>>),
}

/// One field of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Field {
    /// In WIT's spelling.
    pub(crate) name: String,
    /// In Python's spelling.
    pub(crate) key: String,
    pub(crate) shape: Shape,
}

/// One case of a variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) shape: Option<Shape>,
}

/// What a function returns and how that ends the task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Give {
    Nothing,
    Value(Shape),
    Result { ok: Option<Shape>, err: Complaint },
}

/// The error side of a task's `result`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Complaint {
    Nothing,
    Text,
    /// `umbel:task/types.error`: it says itself how the task ends.
    Ending(Shape),
    Other(Shape),
}

/// A component's exported functions that can be tasks, and the rest of what it says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) functions: Vec<Function>,
    /// Exported functions that cannot be tasks, and why.
    pub(crate) skipped: Vec<(String, String)>,
    /// Interfaces and functions it imports, as it spells them.
    pub(crate) imports: Vec<String>,
}

/// One exported function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Function {
    /// The exported interface it is in; `None` for the world's own.
    pub(crate) interface: Option<String>,
    /// In WIT's spelling.
    pub(crate) name: String,
    /// It may wait for several things at once, as WASI 0.3 has it.
    #[serde(default)]
    pub(crate) is_async: bool,
    pub(crate) params: Vec<Parameter>,
    pub(crate) give: Give,
    /// The result's WIT type; empty for none.
    pub(crate) result_wit: String,
    pub(crate) docs: String,
}

/// One parameter of an exported function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parameter {
    /// In Python's spelling.
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) wit: String,
}

impl Function {
    /// How many positional arguments it takes at most.
    pub(crate) fn arity(&self) -> usize {
        match self.params.iter().any(Parameter::takes_rest) {
            true => usize::MAX,
            false => self.params.iter().filter(|param| !param.takes_keywords()).count(),
        }
    }
}

impl Parameter {
    /// True for `args: list<json>`, which takes the positional arguments that are left.
    pub(crate) fn takes_rest(&self) -> bool {
        self.name == "args" && self.shape == Shape::List(Box::new(Shape::Json))
    }

    /// True for `kwargs: json`, which takes the keyword arguments that are left.
    pub(crate) fn takes_keywords(&self) -> bool {
        self.name == "kwargs" && self.shape == Shape::Json
    }

    /// True if it may be left out.
    pub(crate) fn is_optional(&self) -> bool {
        matches!(self.shape, Shape::Option(_)) || self.takes_rest() || self.takes_keywords()
    }
}

impl Shape {
    /// Boxes of the host's that a byte of JSON may stand for, in halves; `0,` is the shortest item.
    fn half_boxes(&self) -> usize {
        match self {
            // Three bytes are four in base64.
            Self::Bytes => 2,
            Self::List(item) | Self::FixedList(item, _) => item.nested().max(item.half_boxes()),
            other => other.parts().into_iter().map(Self::half_boxes).max().unwrap_or(0),
        }
    }

    /// Boxes within each other of which JSON shows one.
    fn nested(&self) -> usize {
        let parts = || self.parts().into_iter().map(Self::nested).max().unwrap_or(1);
        match self {
            Self::List(_) | Self::FixedList(..) => 1,
            Self::Option(_) => 1 + parts(),
            _ => parts(),
        }
    }

    /// The shapes it is made of.
    fn parts(&self) -> Vec<&Shape> {
        match self {
            Self::List(inner) | Self::FixedList(inner, _) | Self::Option(inner) => vec![&**inner],
            Self::Tuple(shapes) => shapes.iter().collect(),
            Self::Record(fields) => fields.iter().map(|field| &field.shape).collect(),
            Self::Variant(cases) => cases.iter().filter_map(|case| case.shape.as_ref()).collect(),
            Self::Result(ok, err) => [ok, err].into_iter().flatten().map(AsRef::as_ref).collect(),
            _ => Vec::new(),
        }
    }

    /// What a Python caller gives or gets.
    pub(crate) fn python(&self) -> String {
        match self {
            Self::Bool => "bool".to_owned(),
            Self::S8
            | Self::U8
            | Self::S16
            | Self::U16
            | Self::S32
            | Self::U32
            | Self::S64
            | Self::U64 => "int".to_owned(),
            Self::F32 | Self::F64 => "float".to_owned(),
            Self::Char | Self::Text | Self::Enum(_) => "str".to_owned(),
            Self::Json => "Any".to_owned(),
            Self::Bytes => "bytes".to_owned(),
            Self::List(item) | Self::FixedList(item, _) => format!("list[{}]", item.python()),
            Self::Tuple(items) => {
                let items: Vec<String> = items.iter().map(Self::python).collect();
                format!("tuple[{}]", items.join(", "))
            }
            Self::Record(_) | Self::Result(..) => "dict".to_owned(),
            Self::Variant(_) => "str | dict".to_owned(),
            Self::Flags(_) => "list[str]".to_owned(),
            Self::Option(inner) => format!("{} | None", inner.python()),
        }
    }

    /// The WIT name of a number's type, for messages.
    pub(crate) fn number(&self) -> &'static str {
        match self {
            Self::S8 => "s8",
            Self::U8 => "u8",
            Self::S16 => "s16",
            Self::U16 => "u16",
            Self::S32 => "s32",
            Self::U32 => "u32",
            Self::S64 => "s64",
            Self::U64 => "u64",
            Self::F32 => "f32",
            _ => "f64",
        }
    }
}

impl Give {
    /// How many halves of a box the host may need for one byte of the result as JSON: each item of a
    /// list has a box of its own.
    pub(crate) fn half_boxes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Value(shape) => shape.half_boxes(),
            Self::Result { ok, err } => {
                let complaint = match err {
                    Complaint::Other(shape) => shape.half_boxes(),
                    Complaint::Nothing | Complaint::Text | Complaint::Ending(_) => 0,
                };
                ok.as_ref().map_or(0, Shape::half_boxes).max(complaint)
            }
        }
    }

    /// What a Python caller gets.
    pub(crate) fn python(&self) -> String {
        match self {
            Self::Nothing | Self::Result { ok: None, .. } => "None".to_owned(),
            Self::Value(shape) | Self::Result { ok: Some(shape), .. } => shape.python(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_costs_what_its_shortest_items_do() {
        let list = |item| Shape::List(Box::new(item));
        let option = |inner| Shape::Option(Box::new(inner));
        for (shape, expected) in [
            (Shape::U64, 0),
            (Shape::Text, 0),
            (option(Shape::U8), 0),
            (Shape::Bytes, 2),
            (list(Shape::U64), 1),
            (list(list(Shape::U64)), 1),
            (list(Shape::Bytes), 2),
            (list(option(Shape::U8)), 2),
            (list(Shape::Tuple(vec![option(option(Shape::U8))])), 3),
            (Shape::Tuple(vec![Shape::U8, list(Shape::Bool)]), 1),
        ] {
            assert_eq!(shape.half_boxes(), expected, "{shape:?}");
        }
    }
}
