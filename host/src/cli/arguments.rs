//! Arguments of a task as people type them. Pure but for files named by `@`.

use std::path::Path;

use umbel_value::{Map, Value};

use crate::fault::Fault;

/// Positional and keyword arguments of one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Arguments {
    pub(crate) args: Vec<Value>,
    pub(crate) kwargs: Map,
}

/// One JSON array is all positional arguments; else each text is one: `name=value` a keyword, the
/// rest positional. A value is JSON, `@FILE` the content of a file, anything else is text.
pub(crate) fn read(texts: &[String], kwargs: Option<&str>) -> Result<Arguments, Fault> {
    let mut arguments = Arguments::default();
    if let [only] = texts
        && let Ok(Value::List(items)) = Value::from_json(only.as_bytes())
    {
        arguments.args = items;
    } else {
        for text in texts {
            match keyword(text) {
                Some((name, text)) => {
                    let previous = arguments.kwargs.insert(name.to_owned(), value(text)?);
                    if previous.is_some() {
                        return Err(Fault::usage(format!("argument `{name}` is given twice")));
                    }
                }
                None => arguments.args.push(value(text)?),
            }
        }
    }
    if let Some(text) = kwargs {
        let object = Value::from_json(text.as_bytes()).map_err(|error| {
            Fault::usage(format!("--kwargs is not JSON: {} at byte {}", error.what, error.at))
                .help("write an object, in quotes for the shell: --kwargs '{\"x\": 2}'")
        })?;
        let Value::Map(object) = object else {
            let fault = Fault::usage("--kwargs is JSON, but not an object");
            return Err(fault.help("write for example --kwargs '{\"x\": 2}'"));
        };
        arguments.kwargs.extend(object);
    }
    Ok(arguments)
}

fn keyword(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let mut chars = name.chars();
    let first = chars.next()?;
    let identifier = (first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    identifier.then_some((name, value))
}

fn value(text: &str) -> Result<Value, Fault> {
    match text.strip_prefix('@') {
        Some(escaped) if escaped.starts_with('@') => return Ok(Value::Text(escaped.to_owned())),
        Some(path) => return file(Path::new(path)),
        None => {}
    }
    let parsed = Value::from_json(text.as_bytes());
    Ok(parsed.unwrap_or_else(|_| Value::Text(text.to_owned())))
}

/// Text stays text, so that it fits `string` as well as `list<u8>`.
fn file(path: &Path) -> Result<Value, Fault> {
    let content = std::fs::read(path).map_err(|error| {
        Fault::usage(format!("cannot read {}: {error}", path.display()))
            .help("an argument that starts with `@` names a file; write `@@` for the sign itself")
    })?;
    Ok(match String::from_utf8(content) {
        Ok(text) => Value::Text(text),
        Err(error) => Value::Bytes(error.into_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(texts: &[&str], kwargs: Option<&str>, args: &str, expected_kwargs: &str) {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let arguments = read(&texts, kwargs).expect("good arguments");
        assert_eq!(Value::List(arguments.args).to_json(), args);
        assert_eq!(Value::Map(arguments.kwargs).to_json(), expected_kwargs);
    }

    #[test]
    fn arguments_are_json_or_text_or_keywords() {
        check(&[], None, "[]", "{}");
        check(&["[2, 3]"], None, "[2,3]", "{}");
        check(&["2", "3"], None, "[2,3]", "{}");
        check(&["[1]", "2"], None, "[[1],2]", "{}");
        check(&["[[1, 2]]"], None, "[[1,2]]", "{}");
        check(&["hello world"], None, "[\"hello world\"]", "{}");
        check(&["x=2", "y=-3"], None, "[]", "{\"x\":2,\"y\":-3}");
        check(&["1", "name=a=b"], None, "[1]", "{\"name\":\"a=b\"}");
        check(&["1+1=2"], None, "[\"1+1=2\"]", "{}");
        check(&["@@home"], None, "[\"@home\"]", "{}");
        check(&["{\"a\": 1}"], None, "[{\"a\":1}]", "{}");
        check(&["[1]"], Some("{\"y\": 2}"), "[1]", "{\"y\":2}");
    }

    #[test]
    fn mistakes_in_arguments_are_named() {
        for (texts, kwargs, part) in [
            (vec!["x=1", "x=2"], None, "`x` is given twice"),
            (vec![], Some("{"), "--kwargs is not JSON"),
            (vec![], Some("[1]"), "not an object"),
            (vec!["@/does/not/exist"], None, "cannot read /does/not/exist"),
        ] {
            let texts: Vec<String> = texts.into_iter().map(str::to_owned).collect();
            let fault = read(&texts, kwargs).expect_err(part);
            assert!(fault.what.contains(part), "{fault}");
        }
    }
}
