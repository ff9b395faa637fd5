//! What the helpers of Python and JavaScript are told of a world: the functions that it exports, and the shapes of
//! their types as JSON. What the shapes mean stands in `sdk/python/umbel/_shapes.py`.

use wit_bindgen_core::wit_parser::{
    Function, FunctionKind, InterfaceId, Resolve, Type, TypeDefKind, TypeId, TypeOwner, WorldItem,
    WorldKey,
};

use crate::encode::World;

/// Functions that are exported together.
pub(crate) struct Exported<'a> {
    /// The interface's name; `None`: the world itself exports them.
    pub(crate) interface: Option<&'a str>,
    /// What the interface says of itself.
    pub(crate) docs: Option<&'a str>,
    pub(crate) functions: Vec<&'a Function>,
}

/// How a language writes the names of functions, parameters and fields.
pub(crate) type Spelling = fn(&str) -> String;

impl World {
    /// The exported functions, by interface, in the order of the WIT; methods of resources are no tasks.
    pub(crate) fn exported(&self) -> Vec<Exported<'_>> {
        let mut found = Vec::new();
        let mut own = Exported { interface: None, docs: None, functions: Vec::new() };
        for (key, item) in &self.resolve.worlds[self.id].exports {
            match item {
                WorldItem::Interface { id, .. } => {
                    let interface = &self.resolve.interfaces[*id];
                    let name = match key {
                        WorldKey::Name(name) => Some(name.as_str()),
                        WorldKey::Interface(_) => interface.name.as_deref(),
                    };
                    let functions = interface.functions.values().filter(|f| is_free(f)).collect();
                    let docs = interface.docs.contents.as_deref();
                    found.push(Exported { interface: name, docs, functions });
                }
                WorldItem::Function(function) if is_free(function) => own.functions.push(function),
                WorldItem::Function(_) | WorldItem::Type { .. } => {}
            }
        }
        if !own.functions.is_empty() {
            found.push(own);
        }
        found
    }

    /// The name under which the world imports an interface of the host's, if it does:
    /// `umbel:task/log@0.1.0`.
    pub(crate) fn import(&self, interface: &str) -> Option<String> {
        self.imports().into_iter().find(|name| {
            let name = name.strip_prefix("umbel:task/").and_then(|name| name.split('@').next());
            name == Some(interface)
        })
    }

    /// All interfaces that the world imports, by their full names.
    pub(crate) fn imports(&self) -> Vec<String> {
        let imports = &self.resolve.worlds[self.id].imports;
        imports.keys().map(|key| self.resolve.name_world_key(key)).collect()
    }

    /// True if anything that is exported waits.
    pub(crate) fn is_async(&self) -> bool {
        self.exported().iter().flat_map(|exported| &exported.functions).any(|f| waits(f))
    }
}

/// The functions as one JSON object, a line each.
pub(crate) fn table(resolve: &Resolve, exported: &Exported<'_>, spell: Spelling) -> String {
    let lines = exported.functions.iter().map(|function| {
        let name = spell(&function.name);
        format!("  {name:?}: {}", function_shape(resolve, function, spell))
    });
    format!("{{\n{}\n}}", lines.collect::<Vec<_>>().join(",\n"))
}

/// A function's parameters, result, error and whether it waits.
fn function_shape(resolve: &Resolve, function: &Function, spell: Spelling) -> String {
    let params = function
        .params
        .iter()
        .map(|param| format!("{:?}: {}", spell(&param.name), shape(resolve, &param.ty, spell)));
    let (result, error) = match result_of(resolve, function) {
        Returned::Nothing => ("null".to_owned(), "null"),
        Returned::Plain(ty) => (shape(resolve, ty, spell), "null"),
        Returned::Result { ok, err } => {
            let ok = ok.map_or_else(|| "null".to_owned(), |ty| shape(resolve, ty, spell));
            (ok, err.map_or("null", |ty| error_word(resolve, ty)))
        }
    };
    format!(
        r#"{{"params": {{{}}}, "result": {result}, "error": {error}, "async": {}}}"#,
        params.collect::<Vec<_>>().join(", "),
        waits(function)
    )
}

/// What a function gives.
pub(crate) enum Returned<'a> {
    Nothing,
    Plain(&'a Type),
    Result { ok: Option<&'a Type>, err: Option<&'a Type> },
}

/// What this function gives.
pub(crate) fn result_of<'a>(resolve: &'a Resolve, function: &'a Function) -> Returned<'a> {
    match &function.result {
        None => Returned::Nothing,
        Some(ty) => match kind(resolve, ty) {
            Some(TypeDefKind::Result(result)) => {
                Returned::Result { ok: result.ok.as_ref(), err: result.err.as_ref() }
            }
            _ => Returned::Plain(ty),
        },
    }
}

/// True if it is an `async func`.
pub(crate) fn waits(function: &Function) -> bool {
    matches!(function.kind, FunctionKind::AsyncFreestanding)
}

fn is_free(function: &Function) -> bool {
    matches!(function.kind, FunctionKind::Freestanding | FunctionKind::AsyncFreestanding)
}

/// How the function's type can say that a task did not succeed.
fn error_word(resolve: &Resolve, ty: &Type) -> &'static str {
    match ty {
        Type::String => r#""string""#,
        Type::Id(id) if is_hosts(resolve, *id, "error") => r#""error""#,
        Type::Id(_) => match kind(resolve, ty) {
            Some(TypeDefKind::Type(Type::String)) => r#""string""#,
            _ => r#""other""#,
        },
        _ => r#""other""#,
    }
}

/// True for the type of this name in `umbel:task/types`, under whatever name it is used.
pub(crate) fn is_hosts(resolve: &Resolve, mut id: TypeId, name: &str) -> bool {
    loop {
        let found = &resolve.types[id];
        if let TypeOwner::Interface(owner) = found.owner
            && found.name.as_deref() == Some(name)
            && is_hosts_types(resolve, owner)
        {
            return true;
        }
        match found.kind {
            TypeDefKind::Type(Type::Id(next)) => id = next,
            _ => return false,
        }
    }
}

fn is_hosts_types(resolve: &Resolve, id: InterfaceId) -> bool {
    let interface = &resolve.interfaces[id];
    let Some(package) = interface.package.map(|id| &resolve.packages[id].name) else {
        return false;
    };
    let package = (package.namespace.as_str(), package.name.as_str());
    package == ("umbel", "task") && interface.name.as_deref() == Some("types")
}

/// What a type is once its other names are taken off; `None`: one that has no parts.
pub(crate) fn kind<'a>(resolve: &'a Resolve, ty: &Type) -> Option<&'a TypeDefKind> {
    let mut ty = ty;
    loop {
        let Type::Id(id) = ty else { return None };
        match &resolve.types[*id].kind {
            TypeDefKind::Type(next @ Type::Id(_)) => ty = next,
            found => return Some(found),
        }
    }
}

/// A type's shape as JSON.
fn shape(resolve: &Resolve, ty: &Type, spell: Spelling) -> String {
    let simple = |word: &str| format!("{word:?}");
    let Type::Id(id) = ty else { return simple(word(ty)) };
    if is_hosts(resolve, *id, "json") {
        return simple("json");
    }
    let of = |ty: &Type| shape(resolve, ty, spell);
    let optional = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "null".to_owned(), of);
    let list = |shapes: Vec<String>| shapes.join(", ");
    match kind(resolve, ty) {
        Some(TypeDefKind::Type(inner)) => of(inner),
        Some(TypeDefKind::Option(inner)) => format!(r#"{{"option": {}}}"#, of(inner)),
        Some(TypeDefKind::List(Type::U8)) => simple("bytes"),
        Some(TypeDefKind::List(inner)) => format!(r#"{{"list": {}}}"#, of(inner)),
        Some(TypeDefKind::Tuple(tuple)) => {
            format!(r#"{{"tuple": [{}]}}"#, list(tuple.types.iter().map(of).collect()))
        }
        Some(TypeDefKind::Record(record)) => {
            let fields = record.fields.iter();
            let fields = fields.map(|field| format!("{:?}: {}", spell(&field.name), of(&field.ty)));
            format!(r#"{{"record": {{{}}}}}"#, list(fields.collect()))
        }
        Some(TypeDefKind::Enum(cases)) => {
            let names = cases.cases.iter().map(|case| simple(&case.name));
            format!(r#"{{"enum": [{}]}}"#, list(names.collect()))
        }
        Some(TypeDefKind::Flags(flags)) => {
            let names = flags.flags.iter().map(|flag| simple(&flag.name));
            format!(r#"{{"flags": [{}]}}"#, list(names.collect()))
        }
        Some(TypeDefKind::Variant(variant)) => {
            let cases = variant.cases.iter();
            let cases = cases.map(|case| format!("{:?}: {}", case.name, optional(&case.ty)));
            format!(r#"{{"variant": {{{}}}}}"#, list(cases.collect()))
        }
        _ => simple("any"),
    }
}

fn word(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext | Type::Id(_) => "any",
    }
}

/// `make-thumb` as `make_thumb`, with a line below for what is a word of Python.
pub(crate) fn snake(name: &str) -> String {
    const WORDS: &[&str] = &[
        "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
        "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
        "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with",
        "yield",
    ];
    let name = name.to_ascii_lowercase().replace('-', "_");
    if WORDS.contains(&name.as_str()) { name + "_" } else { name }
}

/// `make-thumb` as `makeThumb`.
pub(crate) fn camel(name: &str) -> String {
    let pascal = pascal(name);
    let (first, rest) = pascal.split_at(pascal.len().min(1));
    first.to_ascii_lowercase() + rest
}

/// `make-thumb` as `MakeThumb`.
pub(crate) fn pascal(name: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    };
    name.split('-').map(capital).collect()
}
