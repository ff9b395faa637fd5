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
    fn holds_lists(&self) -> bool {
        match self {
            Self::Bytes | Self::List(_) | Self::FixedList(..) => true,
            Self::Tuple(shapes) => shapes.iter().any(Self::holds_lists),
            Self::Record(fields) => fields.iter().any(|field| field.shape.holds_lists()),
            Self::Variant(cases) => {
                cases.iter().filter_map(|case| case.shape.as_ref()).any(Self::holds_lists)
            }
            Self::Option(inner) => inner.holds_lists(),
            Self::Result(ok, err) => [ok, err].into_iter().flatten().any(|s| s.holds_lists()),
            _ => false,
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
    /// True if a list is anywhere in it: the host holds each item in a box of its own.
    pub(crate) fn holds_lists(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Value(shape) => shape.holds_lists(),
            Self::Result { ok, err } => {
                let complaint = match err {
                    Complaint::Other(shape) => shape.holds_lists(),
                    Complaint::Nothing | Complaint::Text | Complaint::Ending(_) => false,
                };
                complaint || ok.as_ref().is_some_and(Shape::holds_lists)
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
