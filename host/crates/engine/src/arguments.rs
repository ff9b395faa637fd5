//! A call's arguments to a function's parameters; every refusal in Python's words.

use umbel_task::outcome::Failure;
use umbel_value::{Map, Value};
use wasmtime::component::Val;

use crate::shape::{Function, Parameter};
use crate::value::{Misfit, lower, snake};

/// Gives each parameter its value, or says as Python would why the call does not fit.
pub(crate) fn bind(function: &Function, args: &[Value], kwargs: &Map) -> Result<Vec<Val>, Failure> {
    let call = Binding { name: snake(&function.name), params: &function.params };
    let slots = call.assign(args, kwargs)?;
    let mut vals = Vec::with_capacity(slots.len());
    for (param, slot) in function.params.iter().zip(slots) {
        let val = match slot {
            Slot::Given(value) => lower(value, &param.shape),
            Slot::Rest(values) => {
                Ok(Val::List(values.iter().map(|v| Val::String(v.to_json())).collect()))
            }
            Slot::Keywords(map) => Ok(Val::String(Value::Map(map).to_json())),
            Slot::Absent => Ok(Val::Option(None)),
        };
        vals.push(val.map_err(|misfit| call.misfit(&param.name, misfit))?);
    }
    Ok(vals)
}

struct Binding<'a> {
    /// In Python's spelling.
    name: String,
    params: &'a [Parameter],
}

enum Slot<'a> {
    Given(&'a Value),
    Rest(&'a [Value]),
    Keywords(Map),
    Absent,
}

impl<'a> Binding<'a> {
    /// In CPython's order: keywords, then too many positional ones, then what is missing.
    fn assign(&self, args: &'a [Value], kwargs: &'a Map) -> Result<Vec<Slot<'a>>, Failure> {
        let rest = self.params.iter().position(Parameter::takes_rest);
        let keywords = self.params.iter().position(Parameter::takes_keywords);
        let positional = self.positional(rest);
        let mut given: Vec<Option<&Value>> = vec![None; self.params.len()];
        for (index, value) in positional.iter().zip(args) {
            given[*index] = Some(value);
        }
        let mut others = Map::new();
        for (key, value) in kwargs {
            let named = |(i, p): &(usize, &Parameter)| {
                p.name == *key && Some(*i) != rest && Some(*i) != keywords
            };
            match self.params.iter().enumerate().find(named) {
                Some((i, _)) if given[i].is_some() => {
                    return Err(self.error(format!("got multiple values for argument '{key}'")));
                }
                Some((i, _)) => given[i] = Some(value),
                None if keywords.is_some() => {
                    others.insert(key.clone(), value.clone());
                }
                None => {
                    return Err(self.error(format!("got an unexpected keyword argument '{key}'")));
                }
            }
        }
        if args.len() > positional.len() && rest.is_none() {
            return Err(self.too_many(&positional, args.len()));
        }
        self.none_missing(&given, &positional)?;
        let slots = given.into_iter().enumerate().map(|(i, value)| match value {
            Some(value) => Slot::Given(value),
            None if Some(i) == rest => Slot::Rest(args.get(positional.len()..).unwrap_or(&[])),
            None if Some(i) == keywords => Slot::Keywords(std::mem::take(&mut others)),
            None => Slot::Absent,
        });
        Ok(slots.collect())
    }

    /// Parameters that positional arguments reach: those before `args`, without `kwargs`.
    fn positional(&self, rest: Option<usize>) -> Vec<usize> {
        let end = rest.unwrap_or(self.params.len());
        (0..end).filter(|i| !self.params[*i].takes_keywords()).collect()
    }

    fn too_many(&self, positional: &[usize], given: usize) -> Failure {
        let most = positional.len();
        let least = positional.iter().filter(|i| !self.params[**i].is_optional()).count();
        let takes =
            if least == most { most.to_string() } else { format!("from {least} to {most}") };
        let plural = if most == 1 { "" } else { "s" };
        let were = if given == 1 { "was" } else { "were" };
        self.error(format!("takes {takes} positional argument{plural} but {given} {were} given"))
    }

    fn none_missing(&self, given: &[Option<&Value>], positional: &[usize]) -> Result<(), Failure> {
        let missing = |is_positional: bool| -> Vec<String> {
            (0..self.params.len())
                .filter(|i| given[*i].is_none() && !self.params[*i].is_optional())
                .filter(|i| positional.contains(i) == is_positional)
                .map(|i| format!("'{}'", self.params[i].name))
                .collect()
        };
        for (names, word) in [(missing(true), "positional"), (missing(false), "keyword-only")] {
            if !names.is_empty() {
                let plural = if names.len() == 1 { "" } else { "s" };
                return Err(self.error(format!(
                    "missing {} required {word} argument{plural}: {}",
                    names.len(),
                    in_words(&names)
                )));
            }
        }
        Ok(())
    }

    fn misfit(&self, param: &str, misfit: Misfit) -> Failure {
        let Misfit { kind, what, path } = misfit;
        Failure::builtin(kind, format!("{}() argument '{param}{path}': {what}", self.name))
    }

    fn error(&self, what: String) -> Failure {
        Failure::builtin("TypeError", format!("{}() {what}", self.name))
    }
}

/// `'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`.
fn in_words(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [most @ .., last] => format!("{}, and {last}", most.join(", ")),
    }
}
