//! Reads from a component what it exports and imports: the WIT inside it, aliases included.

use std::collections::HashMap;

use wasmparser::{CanonicalFunction, CanonicalOption, Parser, Payload};
use wit_parser::decoding::{DecodedWasm, decode};
use wit_parser::{
    FunctionKind, Handle, Resolve, Type, TypeDef, TypeDefKind, TypeId, TypeOwner, WorldItem,
};

use crate::sections::{Layer, custom, layer, sections};
use crate::shape::{Case, Complaint, Description, Field, Function, Give, Parameter, Shape};
use crate::value::snake;

/// Types are trees here but may share parts in WIT; a tree may not grow beyond this.
const MOST_NODES: usize = 20_000;
/// Deeper types would make values that exhaust a stack.
const MOST_DEPTH: usize = 64;

/// Describes a component that wasmtime has already validated.
pub(crate) fn describe(component: &[u8]) -> Result<Description, String> {
    let DecodedWasm::Component(resolve, world) = decode(component).map_err(|e| format!("{e:#}"))?
    else {
        return Err("it is a WIT package, not a component".to_owned());
    };
    let docs = Docs::find(component);
    let mut found = Description::default();
    let world = &resolve.worlds[world];
    for (key, item) in &world.imports {
        if !matches!(item, WorldItem::Type { .. }) {
            found.imports.push(resolve.name_world_key(key));
        }
    }
    let reader = Reader { resolve: &resolve };
    for (key, item) in &world.exports {
        let name = resolve.name_world_key(key);
        match item {
            WorldItem::Function(function) => {
                reader.add(None, function, &docs, &mut found);
            }
            WorldItem::Interface { id, .. } => {
                for function in resolve.interfaces[*id].functions.values() {
                    reader.add(Some(&name), function, &docs, &mut found);
                }
            }
            WorldItem::Type { .. } => {}
        }
    }
    Ok(found)
}

/// Functions of the components inside it may not be async: each one that waits takes a stack, of
/// which there is one for each run, and whoever called it need not wait.
pub(crate) fn no_async_inside(component: &[u8]) -> Result<(), String> {
    let mut depth = 0usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|e| e.to_string())? {
            Payload::ComponentSection { .. } | Payload::ModuleSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentCanonicalSection(functions) if depth > 0 => {
                for function in functions {
                    let function = function.map_err(|e| e.to_string())?;
                    if let CanonicalFunction::Lift { options, .. } = function
                        && options.contains(&CanonicalOption::Async)
                    {
                        let what =
                            "is composed of components that have async functions of their own";
                        return Err(what.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

struct Reader<'a> {
    resolve: &'a Resolve,
}

/// Counts what a type's tree has used up.
struct Budget {
    nodes: usize,
}

impl Reader<'_> {
    fn add(
        &self,
        interface: Option<&str>,
        function: &wit_parser::Function,
        docs: &Docs,
        found: &mut Description,
    ) {
        match self.function(interface, function) {
            Ok(mut read) => {
                read.docs = docs.of(interface, &function.name);
                found.functions.push(read);
            }
            Err(why) => {
                let name = match interface {
                    Some(interface) => format!("{interface}.{}", function.name),
                    None => function.name.clone(),
                };
                found.skipped.push((name, why));
            }
        }
    }

    fn function(
        &self,
        interface: Option<&str>,
        function: &wit_parser::Function,
    ) -> Result<Function, String> {
        not_ours(interface, function)?;
        match function.kind {
            FunctionKind::Freestanding | FunctionKind::AsyncFreestanding => {}
            _ => return Err("it belongs to a resource, which no message can hold".to_owned()),
        }
        let mut budget = Budget { nodes: 0 };
        let mut params = Vec::with_capacity(function.params.len());
        for param in &function.params {
            params.push(Parameter {
                name: snake(&param.name),
                shape: self.shape(&param.ty, &mut budget, 0)?,
                wit: self.wit(&param.ty, 0),
            });
        }
        let (give, result_wit) = match &function.result {
            None => (Give::Nothing, String::new()),
            Some(ty) => (self.give(ty, &mut budget)?, self.wit(ty, 0)),
        };
        Ok(Function {
            interface: interface.map(str::to_owned),
            name: function.name.clone(),
            is_async: function.kind.is_async(),
            params,
            give,
            result_wit,
            docs: String::new(),
        })
    }

    fn give(&self, ty: &Type, budget: &mut Budget) -> Result<Give, String> {
        let Some(TypeDefKind::Result(result)) = self.resolved(ty) else {
            return Ok(Give::Value(self.shape(ty, budget, 0)?));
        };
        let ok = self.side(result.ok.as_ref(), budget)?;
        let err = match (&result.err, self.side(result.err.as_ref(), budget)?) {
            (None, _) | (_, None) => Complaint::Nothing,
            (Some(_), Some(Shape::Text)) => Complaint::Text,
            (Some(ty), Some(shape)) if self.is_alias(ty, "error") => Complaint::Ending(shape),
            (Some(_), Some(shape)) => Complaint::Other(shape),
        };
        Ok(Give::Result { ok, err })
    }

    fn side(&self, ty: Option<&Type>, budget: &mut Budget) -> Result<Option<Shape>, String> {
        ty.map(|ty| self.shape(ty, budget, 1)).transpose()
    }

    fn shape(&self, ty: &Type, budget: &mut Budget, depth: usize) -> Result<Shape, String> {
        budget.nodes += 1;
        if budget.nodes > MOST_NODES || depth > MOST_DEPTH {
            return Err("its types are too large or too deep".to_owned());
        }
        Ok(match ty {
            Type::Bool => Shape::Bool,
            Type::U8 => Shape::U8,
            Type::U16 => Shape::U16,
            Type::U32 => Shape::U32,
            Type::U64 => Shape::U64,
            Type::S8 => Shape::S8,
            Type::S16 => Shape::S16,
            Type::S32 => Shape::S32,
            Type::S64 => Shape::S64,
            Type::F32 => Shape::F32,
            Type::F64 => Shape::F64,
            Type::Char => Shape::Char,
            Type::String => Shape::Text,
            Type::ErrorContext => return Err("an error context cannot be sent".to_owned()),
            Type::Id(_) if self.is_alias(ty, "json") => Shape::Json,
            Type::Id(id) => self.defined(*id, budget, depth + 1)?,
        })
    }

    fn defined(&self, id: TypeId, budget: &mut Budget, depth: usize) -> Result<Shape, String> {
        let mut inner = |ty: &Type| self.shape(ty, budget, depth);
        Ok(match &self.resolve.types[id].kind {
            TypeDefKind::Type(ty) => inner(ty)?,
            TypeDefKind::List(ty) => match inner(ty)? {
                Shape::U8 => Shape::Bytes,
                item => Shape::List(Box::new(item)),
            },
            TypeDefKind::FixedLengthList(ty, length) => {
                Shape::FixedList(Box::new(inner(ty)?), *length)
            }
            TypeDefKind::Tuple(tuple) => {
                Shape::Tuple(tuple.types.iter().map(inner).collect::<Result<_, _>>()?)
            }
            TypeDefKind::Record(record) => {
                let field = |f: &wit_parser::Field| {
                    Ok(Field { name: f.name.clone(), key: snake(&f.name), shape: inner(&f.ty)? })
                };
                Shape::Record(record.fields.iter().map(field).collect::<Result<_, String>>()?)
            }
            TypeDefKind::Variant(variant) => {
                let case = |c: &wit_parser::Case| {
                    let shape = c.ty.as_ref().map(&mut inner).transpose()?;
                    Ok(Case { name: c.name.clone(), shape })
                };
                Shape::Variant(variant.cases.iter().map(case).collect::<Result<_, String>>()?)
            }
            TypeDefKind::Enum(e) => Shape::Enum(e.cases.iter().map(|c| c.name.clone()).collect()),
            TypeDefKind::Flags(f) => {
                Shape::Flags(f.flags.iter().map(|flag| flag.name.clone()).collect())
            }
            TypeDefKind::Option(ty) => Shape::Option(Box::new(inner(ty)?)),
            TypeDefKind::Result(result) => {
                let ok = result.ok.as_ref().map(&mut inner).transpose()?;
                let err = result.err.as_ref().map(&mut inner).transpose()?;
                Shape::Result(ok.map(Box::new), err.map(Box::new))
            }
            TypeDefKind::Resource | TypeDefKind::Handle(_) => {
                return Err(
                    "a resource cannot be sent; give what is in it, as a record, bytes or a text"
                        .to_owned(),
                );
            }
            TypeDefKind::Stream(_) => return Err("a stream cannot be sent".to_owned()),
            TypeDefKind::Future(_) => return Err("a future cannot be sent".to_owned()),
            TypeDefKind::Map(..) => return Err("a map cannot be sent yet".to_owned()),
            TypeDefKind::Unknown => return Err("it has a type of unknown structure".to_owned()),
        })
    }

    /// True if a type is, through any chain of `use`, the one of this name in `umbel:task/types`.
    fn is_alias(&self, ty: &Type, name: &str) -> bool {
        let mut ty = *ty;
        while let Type::Id(id) = ty {
            let def = &self.resolve.types[id];
            if def.name.as_deref() == Some(name) && self.is_ours(def) {
                return true;
            }
            match def.kind {
                TypeDefKind::Type(next) => ty = next,
                _ => return false,
            }
        }
        false
    }

    fn is_ours(&self, def: &TypeDef) -> bool {
        let TypeOwner::Interface(id) = def.owner else { return false };
        let interface = &self.resolve.interfaces[id];
        interface.name.as_deref() == Some("types")
            && interface.package.is_some_and(|package| {
                let name = &self.resolve.packages[package].name;
                name.namespace == "umbel" && name.name == "task"
            })
    }

    /// What a type is once its names are followed; `None` for a primitive.
    fn resolved(&self, ty: &Type) -> Option<&TypeDefKind> {
        let Type::Id(id) = ty else { return None };
        match &self.resolve.types[*id].kind {
            TypeDefKind::Type(next) => self.resolved(next),
            kind => Some(kind),
        }
    }

    /// A type as WIT spells it; named types by their name.
    fn wit(&self, ty: &Type, depth: usize) -> String {
        let Type::Id(id) = ty else { return primitive(ty).to_owned() };
        let def = &self.resolve.types[*id];
        if let Some(name) = &def.name {
            return name.clone();
        }
        if depth > MOST_DEPTH {
            return "…".to_owned();
        }
        let inner = |ty: &Type| self.wit(ty, depth + 1);
        let side = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), inner);
        match &def.kind {
            TypeDefKind::Type(ty) => inner(ty),
            TypeDefKind::List(ty) => format!("list<{}>", inner(ty)),
            TypeDefKind::FixedLengthList(ty, length) => format!("list<{}, {length}>", inner(ty)),
            TypeDefKind::Option(ty) => format!("option<{}>", inner(ty)),
            TypeDefKind::Map(key, value) => format!("map<{}, {}>", inner(key), inner(value)),
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<String> = tuple.types.iter().map(inner).collect();
                format!("tuple<{}>", types.join(", "))
            }
            TypeDefKind::Result(r) => match (&r.ok, &r.err) {
                (None, None) => "result".to_owned(),
                (Some(ok), None) => format!("result<{}>", inner(ok)),
                _ => format!("result<{}, {}>", side(&r.ok), side(&r.err)),
            },
            TypeDefKind::Handle(Handle::Own(_)) => "own".to_owned(),
            TypeDefKind::Handle(Handle::Borrow(_)) => "borrow".to_owned(),
            other => other.as_str().to_owned(),
        }
    }
}

/// Exports that language toolchains add, and WASI's own.
fn not_ours(interface: Option<&str>, function: &wit_parser::Function) -> Result<(), String> {
    // componentize-py's is in an interface `exports`; componentize-qjs's is the world's own.
    let is_init = match interface {
        Some(name) if name.starts_with("wasi:") => return Err(format!("it is part of `{name}`")),
        Some(name) => name == "exports",
        None => {
            function.params.is_empty() || function.params.iter().any(|p| p.name == "disable-gc")
        }
    };
    if is_init && function.name == "init" {
        return Err("it starts the language's runtime".to_owned());
    }
    Ok(())
}

fn primitive(ty: &Type) -> &'static str {
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
        Type::ErrorContext => "error-context",
        Type::Id(_) => "…",
    }
}

/// The functions' documentation, from `package-docs` sections: JSON behind a version byte. A
/// component or one of the core modules in it may carry them.
struct Docs {
    /// By the interface's short name and the function's; the world's own under no interface.
    texts: HashMap<(Option<String>, String), String>,
}

impl Docs {
    fn find(component: &[u8]) -> Self {
        let mut docs = Self { texts: HashMap::new() };
        docs.scan(component, 0);
        docs
    }

    /// Sections 1 (core module) and 4 (component) of a component nest.
    fn scan(&mut self, binary: &[u8], depth: usize) {
        let is_component = layer(binary) == Some(Layer::Component);
        for (id, section) in sections(binary) {
            match id {
                0 => self.custom(section),
                1 | 4 if is_component && depth < 4 => self.scan(section, depth + 1),
                _ => {}
            }
        }
    }

    fn custom(&mut self, section: &[u8]) {
        let Some((b"package-docs", data)) = custom(section) else { return };
        let Some((_version, json)) = data.split_first() else { return };
        let Ok(root) = serde_json::from_slice::<serde_json::Value>(json) else { return };
        for (name, interface) in entries(&root["interfaces"]) {
            self.functions(Some(name), &interface["funcs"]);
        }
        for (_, world) in entries(&root["worlds"]) {
            self.functions(None, &world["func_exports"]);
            for part in ["interfaces", "interface_exports"] {
                for (name, interface) in entries(&world[part]) {
                    self.functions(Some(name), &interface["funcs"]);
                }
            }
        }
    }

    fn functions(&mut self, interface: Option<&String>, functions: &serde_json::Value) {
        for (name, function) in entries(functions) {
            let text = function.as_str().or_else(|| function["docs"].as_str());
            if let Some(text) = text {
                let key = (interface.cloned(), name.clone());
                self.texts.entry(key).or_insert_with(|| text.trim().to_owned());
            }
        }
    }

    fn of(&self, interface: Option<&str>, function: &str) -> String {
        // `acme:images/tasks@1.0.0` is `tasks` in its package's own documentation.
        let short = interface.map(|name| {
            let name = name.split('@').next().unwrap_or(name);
            name.rsplit('/').next().unwrap_or(name).to_owned()
        });
        self.texts.get(&(short, function.to_owned())).cloned().unwrap_or_default()
    }
}

fn entries(value: &serde_json::Value) -> impl Iterator<Item = (&String, &serde_json::Value)> {
    value.as_object().into_iter().flatten()
}
