//! The types of a world's exports in TypeScript, for editors.

use std::fmt::Write;

use wit_bindgen_core::wit_parser::{Function, Resolve, Type, TypeDefKind, TypeId};

use super::shapes::{self, Exported, Returned, camel, pascal};
use crate::encode::World;

const HEADER: &str = "// Written by `umbel build` from the WIT beside it; changes here are lost.\n";

/// The text of a `.d.ts`: one interface for each exported interface, and the types they name.
pub(crate) fn of(world: &World) -> String {
    let mut writer = Writer { resolve: &world.resolve, waiting: Vec::new(), json: false };
    let mut text = String::new();
    for exported in world.exported() {
        text.push('\n');
        text += &writer.interface(&exported);
    }
    let mut next = 0;
    while let Some(id) = writer.waiting.get(next).copied() {
        text.push('\n');
        text += &writer.definition(id);
        next += 1;
    }
    let import = if writer.json { "\nimport type { Json } from \"umbel\";\n" } else { "" };
    format!("{HEADER}{import}{text}")
}

struct Writer<'a> {
    resolve: &'a Resolve,
    /// The types that were named, each once, in the order in which they were.
    waiting: Vec<TypeId>,
    /// Some type is any JSON.
    json: bool,
}

impl Writer<'_> {
    fn interface(&mut self, exported: &Exported<'_>) -> String {
        let name = exported.interface.map_or_else(|| "World".to_owned(), pascal);
        let mut text = documentation(exported.docs, "");
        let _ = writeln!(text, "export interface {name} {{");
        for function in &exported.functions {
            text += &documentation(function.docs.contents.as_deref(), "  ");
            let _ = writeln!(text, "  {};", self.method(function));
        }
        text + "}\n"
    }

    fn method(&mut self, function: &Function) -> String {
        // A parameter can only be left out if all that follow it can.
        let needed = function.params.iter().rposition(|param| self.option(&param.ty).is_none());
        let mut params = Vec::new();
        for (index, param) in function.params.iter().enumerate() {
            let name = camel(&param.name);
            params.push(match self.option(&param.ty) {
                Some(inner) if needed.is_none_or(|last| index > last) => {
                    format!("{name}?: {}", self.name(&inner))
                }
                _ => format!("{name}: {}", self.name(&param.ty)),
            });
        }
        let result = match shapes::result_of(self.resolve, function) {
            Returned::Nothing | Returned::Result { ok: None, .. } => "void".to_owned(),
            Returned::Plain(ty) | Returned::Result { ok: Some(ty), .. } => self.name(ty),
        };
        let result = if shapes::waits(function) { format!("Promise<{result}>") } else { result };
        format!("{}({}): {result}", camel(&function.name), params.join(", "))
    }

    fn option(&self, ty: &Type) -> Option<Type> {
        match shapes::kind(self.resolve, ty) {
            Some(TypeDefKind::Option(inner)) => Some(*inner),
            _ => None,
        }
    }

    /// A type where it is used: its name if it has one, otherwise what it is.
    fn name(&mut self, ty: &Type) -> String {
        let Type::Id(id) = ty else { return primitive(ty).to_owned() };
        if shapes::is_hosts(self.resolve, *id, "json") {
            self.json = true;
            return "Json".to_owned();
        }
        let found = &self.resolve.types[*id];
        match (&found.kind, &found.name) {
            (TypeDefKind::Type(inner), _) => self.name(inner),
            (
                TypeDefKind::Record(_)
                | TypeDefKind::Variant(_)
                | TypeDefKind::Enum(_)
                | TypeDefKind::Flags(_),
                Some(name),
            ) => {
                if !self.waiting.contains(id) {
                    self.waiting.push(*id);
                }
                pascal(name)
            }
            (kind, _) => self.anonymous(kind),
        }
    }

    fn anonymous(&mut self, kind: &TypeDefKind) -> String {
        match kind {
            TypeDefKind::Option(inner) => format!("{} | undefined", self.name(inner)),
            TypeDefKind::List(Type::U8) => "Uint8Array".to_owned(),
            TypeDefKind::List(inner) => {
                let inner = self.name(inner);
                if inner.contains(' ') { format!("({inner})[]") } else { format!("{inner}[]") }
            }
            TypeDefKind::Tuple(tuple) => {
                let members: Vec<String> = tuple.types.iter().map(|ty| self.name(ty)).collect();
                format!("[{}]", members.join(", "))
            }
            TypeDefKind::Result(result) => {
                let ok = self.case("ok", result.ok.as_ref());
                let err = self.case("err", result.err.as_ref());
                format!("{ok} | {err}")
            }
            _ => "unknown".to_owned(),
        }
    }

    fn case(&mut self, tag: &str, payload: Option<&Type>) -> String {
        match payload {
            Some(ty) => format!("{{ tag: {tag:?}; val: {} }}", self.name(ty)),
            None => format!("{{ tag: {tag:?} }}"),
        }
    }

    fn definition(&mut self, id: TypeId) -> String {
        let found = &self.resolve.types[id];
        let name = pascal(found.name.as_deref().unwrap_or_default());
        let mut text = documentation(found.docs.contents.as_deref(), "");
        match &found.kind {
            TypeDefKind::Record(record) => {
                let _ = writeln!(text, "export interface {name} {{");
                for field in &record.fields {
                    text += &documentation(field.docs.contents.as_deref(), "  ");
                    let mark = if self.option(&field.ty).is_some() { "?" } else { "" };
                    let _ =
                        writeln!(text, "  {}{mark}: {};", camel(&field.name), self.name(&field.ty));
                }
                text += "}\n";
            }
            TypeDefKind::Flags(flags) => {
                let _ = writeln!(text, "export interface {name} {{");
                for flag in &flags.flags {
                    text += &documentation(flag.docs.contents.as_deref(), "  ");
                    let _ = writeln!(text, "  {}?: boolean;", camel(&flag.name));
                }
                text += "}\n";
            }
            TypeDefKind::Enum(cases) => {
                let cases = cases.cases.iter().map(|case| format!("{:?}", case.name));
                let cases: Vec<String> = cases.collect();
                let _ = writeln!(text, "export type {name} = {};", cases.join(" | "));
            }
            TypeDefKind::Variant(variant) => {
                let _ = write!(text, "export type {name} =");
                for case in &variant.cases {
                    let _ = write!(text, "\n  | {}", self.case(&case.name, case.ty.as_ref()));
                }
                text += ";\n";
            }
            _ => {}
        }
        text
    }
}

fn primitive(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "boolean",
        Type::U64 | Type::S64 => "bigint",
        Type::Char | Type::String => "string",
        Type::ErrorContext | Type::Id(_) => "unknown",
        _ => "number",
    }
}

/// What the WIT says, as editors show it.
fn documentation(docs: Option<&str>, indent: &str) -> String {
    let docs = docs.unwrap_or_default().replace("*/", "* /");
    let lines: Vec<&str> = docs.trim().lines().map(str::trim_end).collect();
    match lines.as_slice() {
        [] => String::new(),
        [line] => format!("{indent}/** {line} */\n"),
        lines => {
            let lines =
                lines.iter().map(|line| format!("{indent} * {line}").trim_end().to_owned() + "\n");
            format!("{indent}/**\n{}{indent} */\n", lines.collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wit_bindgen_core::wit_parser::Resolve;

    const WIT: &str = r#"
        package umbel:task@0.1.0;
        interface types { type json = string; variant error { ignore } }
        /// What it does.
        interface tasks {
            use types.{json, error};
            enum color { red, light-green }
            flags access { can-read }
            /// A size.
            record size { height: u32, note: option<string>, extra: json }
            variant shape { circle(f64), nothing }
            /// Measures.
            /// Twice.
            measure: func(the-text: string, width: option<u32>) -> result<size, error>;
            all: func(a: list<option<u8>>, b: list<u8>, c: tuple<s64, char>, d: color) -> result<_, string>;
            wait: async func(access: access) -> shape;
        }
        world plugin { export tasks; export alone: func() -> bool; }
    "#;

    fn world() -> World {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("test.wit", WIT).expect("it is WIT");
        let id = resolve.select_world(&[package], None).expect("there is one world");
        World { resolve, id }
    }

    #[test]
    fn each_type_has_its_words_in_typescript() {
        let expected = r#"// Written by `umbel build` from the WIT beside it; changes here are lost.

import type { Json } from "umbel";

/** What it does. */
export interface Tasks {
  /**
   * Measures.
   * Twice.
   */
  measure(theText: string, width?: number): Size;
  all(a: (number | undefined)[], b: Uint8Array, c: [bigint, string], d: Color): void;
  wait(access: Access): Promise<Shape>;
}

export interface World {
  alone(): boolean;
}

/** A size. */
export interface Size {
  height: number;
  note?: string | undefined;
  extra: Json;
}

export type Color = "red" | "light-green";

export interface Access {
  canRead?: boolean;
}

export type Shape =
  | { tag: "circle"; val: number }
  | { tag: "nothing" };
"#;
        assert_eq!(of(&world()), expected);
    }

    #[test]
    fn the_helpers_are_told_of_each_shape() {
        let world = world();
        let exported = world.exported();
        assert!(world.is_async());
        let table = shapes::table(&world.resolve, &exported[0], camel);
        for part in [
            r#""measure": {"params": {"theText": "string", "width": {"option": "u32"}}, "result": {"record": {"height": "u32", "note": {"option": "string"}, "extra": "json"}}, "error": "error", "async": false}"#,
            r#""a": {"list": {"option": "u8"}}, "b": "bytes", "c": {"tuple": ["s64", "char"]}, "d": {"enum": ["red", "light-green"]}"#,
            r#""result": null, "error": "string""#,
            r#""access": {"flags": ["can-read"]}}, "result": {"variant": {"circle": "f64", "nothing": null}}, "error": null, "async": true"#,
        ] {
            assert!(table.contains(part), "no {part} in {table}");
        }
        assert_eq!(exported[1].interface, None);
        assert!(
            shapes::table(&world.resolve, &exported[0], shapes::snake).contains(r#""the_text""#)
        );
    }
}
