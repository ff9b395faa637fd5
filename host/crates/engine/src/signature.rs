//! What an exported function takes and gives, in WIT's words and in Python's.

use std::fmt;

use umbel_task::name::TaskName;

use crate::shape::{Function, Parameter, Shape};

/// An exported function as a task. Displays as `images.make_thumb(image: bytes, width: int,
/// quality: int = None) -> bytes`.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// The name it is called by.
    pub name: TaskName,
    /// The function's own name, in WIT's spelling.
    pub function: String,
    pub params: Vec<Param>,
    /// The result's WIT type; empty for none.
    pub result: String,
    /// It is an `async func`.
    pub is_async: bool,
    /// What a Python caller gets.
    pub result_python: String,
    /// The function's documentation, empty if there is none.
    pub docs: String,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// In Python's spelling; `*args` and `**kwargs` with their stars.
    pub name: String,
    /// Its WIT type.
    pub wit: String,
    /// What a Python caller gives: `int`, `bytes`, `list[int]`.
    pub python: String,
    /// May be left out.
    pub optional: bool,
}

impl Signature {
    pub(crate) fn new(name: TaskName, function: &Function) -> Self {
        Self {
            name,
            function: function.name.clone(),
            is_async: function.is_async,
            params: function.params.iter().map(Param::new).collect(),
            result: function.result_wit.clone(),
            result_python: function.give.python(),
            docs: function.docs.clone(),
        }
    }

    /// The function as WIT has it: `make-thumb: func(image: list<u8>, width: u32) -> list<u8>`.
    pub fn wit(&self) -> String {
        let kebab = |param: &Param| param.name.trim_start_matches('*').replace('_', "-");
        let params = self.params.iter().map(|param| format!("{}: {}", kebab(param), param.wit));
        let params = params.collect::<Vec<_>>().join(", ");
        let func = if self.is_async { "async func" } else { "func" };
        let arrow = if self.result.is_empty() { "" } else { " -> " };
        format!("{}: {func}({params}){arrow}{}", self.function, self.result)
    }
}

impl Param {
    fn new(parameter: &Parameter) -> Self {
        // `= None` says already that nothing is one of its values.
        let python = match &parameter.shape {
            Shape::Option(inner) => inner.python(),
            shape => shape.python(),
        };
        let star = if parameter.takes_rest() {
            "*"
        } else if parameter.takes_keywords() {
            "**"
        } else {
            ""
        };
        Self {
            name: format!("{star}{}", parameter.name),
            wit: parameter.wit.clone(),
            python: if star.is_empty() { python } else { "Any".to_owned() },
            optional: parameter.is_optional(),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (i, param) in self.params.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let starred = param.name.starts_with('*');
            let default = if param.optional && !starred { " = None" } else { "" };
            write!(f, "{comma}{}: {}{default}", param.name, param.python)?;
        }
        write!(f, ") -> {}", self.result_python)
    }
}
