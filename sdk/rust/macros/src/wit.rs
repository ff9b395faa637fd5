//! The WIT of a module: its package, its interface, and the world that is a plugin.

use std::fmt::Write;

use crate::declared::{Body, Declared, Form, Part};
use crate::module::Package;
use crate::shape::Shape;
use crate::task::{Output, Task};

/// What is written for a module.
pub(crate) struct Interface<'a> {
    pub(crate) package: &'a Package,
    pub(crate) name: &'a str,
    pub(crate) docs: &'a [String],
    pub(crate) tasks: &'a [Task],
    pub(crate) bodies: &'a [Body],
}

/// The worker's own types, as a package inside the text: nothing is looked for on disk.
const TYPES: &str = "
package umbel:task@0.1.0 {
    interface types {
        type json = string;
        record failure { kind: string, message: string, data: option<json> }
        record retry { cause: option<failure>, after-ms: option<u64>, max: option<u32> }
        variant error { failed(failure), retry(retry), reject(bool), ignore }
    }
}
";

/// What the worker's types are called here, where the author may have taken their names.
struct Words {
    json: &'static str,
    error: &'static str,
}

impl Interface<'_> {
    /// The text, and whether it names the worker's types.
    pub(crate) fn write(&self, declared: &Declared) -> (String, bool) {
        let words =
            Words { json: self.free("json", "task-json"), error: self.free("error", "task-error") };
        let json = self.tasks.iter().any(|task| {
            task.shapes()
                .iter()
                .any(|shape| shape.any(declared, &|shape| matches!(shape, Shape::Json(_))))
        });
        let error = self.tasks.iter().any(|task| task.has_ending(declared));
        let mut text = format!("package {};\n\n", self.package);
        comment(&mut text, "", self.docs);
        let _ = writeln!(text, "interface %{} {{", self.name);
        let used: Vec<_> = [(error, "error", words.error), (json, "json", words.json)]
            .iter()
            .filter(|(used, _, _)| *used)
            .map(
                |(_, name, local)| {
                    if name == local { (*name).to_string() } else { format!("{name} as {local}") }
                },
            )
            .collect();
        if !used.is_empty() {
            let _ = writeln!(text, "    use umbel:task/types@0.1.0.{{{}}};", used.join(", "));
        }
        for body in self.bodies {
            declaration(&mut text, body, &words);
        }
        for task in self.tasks {
            function(&mut text, task, declared, &words);
        }
        let _ = write!(text, "}}\n\nworld plugin {{\n    export %{};\n}}\n", self.name);
        if !used.is_empty() {
            text.push_str(TYPES);
        }
        (text, !used.is_empty())
    }

    fn free(&self, name: &'static str, else_name: &'static str) -> &'static str {
        let taken = self
            .tasks
            .iter()
            .map(|task| &task.kebab)
            .chain(self.bodies.iter().map(|body| &body.kebab));
        if taken.into_iter().any(|taken| taken == name) { else_name } else { name }
    }
}

fn comment(text: &mut String, indent: &str, lines: &[String]) {
    for line in lines {
        let _ = writeln!(text, "{}", format!("{indent}/// {line}").trim_end());
    }
}

fn function(text: &mut String, task: &Task, declared: &Declared, words: &Words) {
    comment(text, "    ", &task.docs);
    let parameters: Vec<_> =
        task.values().map(|(name, shape)| format!("%{name}: {}", shape.wit(words.json))).collect();
    let kind = if task.is_async { "async func" } else { "func" };
    let ok = |shape: &Shape| if shape.is_unit() { "_".to_string() } else { shape.wit(words.json) };
    let output = match &task.output {
        Output::Value(shape) if task.may_refuse(declared) => {
            format!("result<{}, {}>", ok(shape), words.error)
        }
        Output::Value(shape) if shape.is_unit() => String::new(),
        Output::Value(shape) => shape.wit(words.json),
        Output::Ending(shape, _) => format!("result<{}, {}>", ok(shape), words.error),
        Output::Result(of, err) => {
            Shape::Result(Box::new(of.clone()), Box::new(err.clone())).wit(words.json)
        }
    };
    let arrow = if output.is_empty() { "" } else { " -> " };
    let _ =
        writeln!(text, "    %{}: {kind}({}){arrow}{output};", task.kebab, parameters.join(", "));
}

fn declaration(text: &mut String, body: &Body, words: &Words) {
    comment(text, "    ", &body.docs);
    let (word, parts) = match &body.form {
        Form::Wrapper(shapes) => {
            let shape = match shapes.as_slice() {
                [one] => one.clone(),
                several => Shape::Tuple(several.to_vec()),
            };
            let _ = writeln!(text, "    type %{} = {};", body.kebab, shape.wit(words.json));
            return;
        }
        Form::Record(parts) => ("record", parts),
        Form::Enum(parts) => ("enum", parts),
        Form::Variant(parts) => ("variant", parts),
    };
    let _ = writeln!(text, "    {word} %{} {{", body.kebab);
    for part in parts {
        comment(text, "        ", &part.docs);
        let _ = writeln!(text, "        %{}{},", part.kebab, held(part, word == "record", words));
    }
    text.push_str("    }\n");
}

fn held(part: &Part, field: bool, words: &Words) -> String {
    match part.shape() {
        None => String::new(),
        Some(shape) if field => format!(": {}", shape.wit(words.json)),
        Some(shape) => format!("({})", shape.wit(words.json)),
    }
}
