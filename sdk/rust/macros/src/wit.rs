//! The WIT of a module: its package, its interface, and the world that is a plugin.

use std::fmt::Write;

use crate::declared::{Body, Declared, Form, Part};
use crate::package::Package;
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

#[cfg(test)]
mod tests {
    use quote::quote;

    use crate::module::wit_of;

    #[test]
    fn a_module_becomes_an_interface() {
        let module = quote! {
            /// Pictures.
            mod tasks {
                /// Makes a picture narrow.
                pub fn make_thumb(image: &[u8], width: u32, quality: Option<u8>) -> Result<Vec<u8>, String> {}
                pub fn info(ctx: &Context, image: Vec<u8>) -> umbel::Result<Facts> {}
                pub fn label(of: Value) -> (Json<Map>, bool) {}
                pub fn forget(all: Vec<Source>) -> Result<(), std::io::Error> {}
                pub async fn wait() {}
                fn helper() {}

                #[derive(umbel::Type)]
                pub struct Facts {
                    /// In pixels.
                    pub width: u32,
                    pub r#type: Format,
                }
                #[derive(Clone, umbel::Type)]
                pub enum Format {
                    Jpeg,
                    Png,
                }
                #[derive(umbel::Type)]
                pub enum Source {
                    Url(String),
                    Rows(u32, u32),
                    Nothing,
                }
                pub struct NotUsed;
            }
        };
        let expected = "\
package %acme:%images@1.0.0;

/// Pictures.
interface %tasks {
    use umbel:task/types@0.1.0.{error, json};
    record %facts {
        /// In pixels.
        %width: u32,
        %type: %format,
    }
    enum %format {
        %jpeg,
        %png,
    }
    variant %source {
        %url(string),
        %rows(tuple<u32, u32>),
        %nothing,
    }
    /// Makes a picture narrow.
    %make-thumb: func(%image: list<u8>, %width: u32, %quality: option<u8>) -> result<list<u8>, string>;
    %info: func(%image: list<u8>) -> result<%facts, error>;
    %label: func(%of: json) -> result<tuple<json, bool>, error>;
    %forget: func(%all: list<%source>) -> result<_, error>;
    %wait: async func();
}

world plugin {
    export %tasks;
}
";
        let wit = wit_of(quote!(package = "acme:images@1.0.0"), module);
        assert_eq!(wit.split("\npackage umbel").next(), Some(expected));
    }

    #[test]
    fn what_needs_nothing_of_the_worker_does_not_name_it() {
        let wit = wit_of(
            quote!(package = "a:b"),
            quote!(
                mod sums {
                    pub fn add(x: i64, y: i64) -> i64 {}
                }
            ),
        );
        let task = "    %add: func(%x: s64, %y: s64) -> s64;";
        let world = "world plugin {\n    export %sums;\n}";
        assert_eq!(wit, format!("package %a:%b;\n\ninterface %sums {{\n{task}\n}}\n\n{world}\n"));
    }

    #[test]
    fn a_type_of_the_authors_keeps_its_name() {
        let module = quote! {
            mod tasks {
                pub fn order(order: Order) -> Result<(), Error> {}
                pub fn any(value: Value) {}
                #[derive(umbel::Type)]
                pub struct Order(u32);
                #[derive(umbel::Type)]
                pub enum Error { TooLarge, Empty }
            }
        };
        let wit = wit_of(quote!(package = "a:b"), module);
        for line in [
            "use umbel:task/types@0.1.0.{error as task-error, json};",
            "type %order-value = u32;",
            "%order: func(%order: %order-value) -> result<_, %error>;",
            "%any: func(%value: json) -> result<_, task-error>;",
        ] {
            assert!(wit.contains(line), "no `{line}` in\n{wit}");
        }
    }
}
