//! What a Rust type is in WIT.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{GenericArgument, PathArguments, PathSegment, Type};

use crate::advice;
use crate::declared::Declared;
use crate::names;

/// A type that can cross, as far as the code that converts it must know.
#[derive(Clone)]
pub(crate) enum Shape {
    /// The same on both sides: an integer, a float, a truth value, a character. Rust's and WIT's name.
    Plain(Ident, &'static str),
    /// `String`.
    Text,
    /// `serde_json::Value`, or what stands in `Json<…>`.
    Json(Json),
    List(Box<Shape>),
    Option(Box<Shape>),
    Tuple(Vec<Shape>),
    Result(Box<Shape>, Box<Shape>),
    /// A declared type: Rust's name, and WIT's.
    Named(Ident, String),
}

/// A value of any shape in the author's code.
#[derive(Clone)]
pub(crate) enum Json {
    Value,
    Wrapped(Box<Type>),
}

const PLAIN: [(&str, &str); 12] = [
    ("u8", "u8"),
    ("u16", "u16"),
    ("u32", "u32"),
    ("u64", "u64"),
    ("i8", "s8"),
    ("i16", "s16"),
    ("i32", "s32"),
    ("i64", "s64"),
    ("f32", "f32"),
    ("f64", "f64"),
    ("bool", "bool"),
    ("char", "char"),
];

impl Shape {
    /// The shape of a type, or why it has none.
    pub(crate) fn of(ty: &Type, declared: &Declared) -> syn::Result<Shape> {
        match ty {
            Type::Paren(inner) => Shape::of(&inner.elem, declared),
            Type::Group(inner) => Shape::of(&inner.elem, declared),
            Type::Tuple(tuple) => {
                let members: Vec<_> = tuple
                    .elems
                    .iter()
                    .map(|member| Shape::of(member, declared))
                    .collect::<Result<_, _>>()?;
                Ok(Shape::Tuple(members))
            }
            Type::Path(path) if path.qself.is_none() => match path.path.segments.last() {
                Some(last) => Shape::named(ty, last, path.path.segments.len() == 1, declared),
                None => Err(advice::misfit(ty)),
            },
            _ => Err(advice::misfit(ty)),
        }
    }

    fn named(
        ty: &Type,
        last: &PathSegment,
        alone: bool,
        declared: &Declared,
    ) -> syn::Result<Shape> {
        let name = last.ident.to_string();
        if alone || is_here(ty) {
            if let Some(alias) = declared.alias(&last.ident) {
                return Shape::of(alias, declared);
            }
            if let Some(found) = declared.find(&last.ident) {
                return found.and_then(|()| {
                    Ok(Shape::Named(last.ident.clone(), declared.kebab(&last.ident)?))
                });
            }
        }
        if let Some((_, wit)) = PLAIN.iter().find(|(rust, _)| *rust == name) {
            return Ok(Shape::Plain(last.ident.clone(), wit));
        }
        let inner = |ty: &Type| Shape::of(ty, declared).map(Box::new);
        match (name.as_str(), arguments(last).as_slice()) {
            ("String", []) => Ok(Shape::Text),
            ("Value", []) => Ok(Shape::Json(Json::Value)),
            ("Json", [of]) => Ok(Shape::Json(Json::Wrapped(Box::new((*of).clone())))),
            ("Vec", [of]) => Ok(Shape::List(inner(of)?)),
            ("Option", [of]) => Ok(Shape::Option(inner(of)?)),
            ("Result", [ok, err]) => Ok(Shape::Result(inner(ok)?, inner(err)?)),
            _ => Err(advice::misfit(ty)),
        }
    }

    /// Nothing at all: `()`.
    pub(crate) fn is_unit(&self) -> bool {
        matches!(self, Shape::Tuple(members) if members.is_empty())
    }

    /// Whether it is `()` inside, which WIT has only as a result of a function or in a `result`.
    pub(crate) fn has_unit(&self) -> bool {
        match self {
            Shape::Tuple(members) => members.is_empty() || members.iter().any(Shape::has_unit),
            Shape::List(inner) | Shape::Option(inner) => inner.has_unit(),
            Shape::Result(ok, err) => {
                [ok, err].iter().any(|side| !side.is_unit() && side.has_unit())
            }
            _ => false,
        }
    }

    /// Whether this, or a type that it names, satisfies the question.
    pub(crate) fn any(&self, declared: &Declared, question: &dyn Fn(&Shape) -> bool) -> bool {
        let again = |shape: &Shape| shape.any(declared, question);
        question(self)
            || match self {
                Shape::List(inner) | Shape::Option(inner) => again(inner),
                Shape::Tuple(members) => members.iter().any(again),
                Shape::Result(ok, err) => again(ok) || again(err),
                Shape::Named(name, _) => declared.members(name).iter().any(again),
                Shape::Plain(..) | Shape::Text | Shape::Json(_) => false,
            }
    }

    /// The declared types in it, outermost.
    pub(crate) fn names(&self) -> Vec<&Ident> {
        match self {
            Shape::Plain(..) | Shape::Text | Shape::Json(_) => Vec::new(),
            Shape::Named(name, _) => vec![name],
            Shape::List(inner) | Shape::Option(inner) => inner.names(),
            Shape::Tuple(members) => members.iter().flat_map(Shape::names).collect(),
            Shape::Result(ok, err) => [ok, err].iter().flat_map(|side| side.names()).collect(),
        }
    }

    /// As WIT writes it; `json` is what the type for any JSON is called there.
    pub(crate) fn wit(&self, json: &str) -> String {
        let side = |shape: &Shape| if shape.is_unit() { "_".to_string() } else { shape.wit(json) };
        match self {
            Shape::Plain(_, wit) => (*wit).to_string(),
            Shape::Text => "string".to_string(),
            Shape::Json(_) => json.to_string(),
            Shape::List(inner) => format!("list<{}>", inner.wit(json)),
            Shape::Option(inner) => format!("option<{}>", inner.wit(json)),
            Shape::Tuple(members) => {
                let members: Vec<_> = members.iter().map(|member| member.wit(json)).collect();
                format!("tuple<{}>", members.join(", "))
            }
            Shape::Result(ok, err) if err.is_unit() && ok.is_unit() => "result".to_string(),
            Shape::Result(ok, err) if err.is_unit() => format!("result<{}>", ok.wit(json)),
            Shape::Result(ok, err) => format!("result<{}, {}>", side(ok), err.wit(json)),
            Shape::Named(_, kebab) => format!("%{kebab}"),
        }
    }

    /// The type that the bindings have for it; `types` is where theirs are.
    pub(crate) fn wire(&self, types: &TokenStream) -> TokenStream {
        match self {
            Shape::Plain(rust, _) => rust.to_token_stream(),
            Shape::Text | Shape::Json(_) => quote!(::std::string::String),
            Shape::List(inner) => {
                let inner = inner.wire(types);
                quote!(::std::vec::Vec<#inner>)
            }
            Shape::Option(inner) => {
                let inner = inner.wire(types);
                quote!(::core::option::Option<#inner>)
            }
            Shape::Tuple(members) => {
                let members = members.iter().map(|member| member.wire(types));
                quote!((#(#members,)*))
            }
            Shape::Result(ok, err) => {
                let (ok, err) = (ok.wire(types), err.wire(types));
                quote!(::core::result::Result<#ok, #err>)
            }
            Shape::Named(_, kebab) => {
                let name = names::camel(kebab);
                quote!(#types::#name)
            }
        }
    }
}

/// What stands between a name's angle brackets, if it is types alone.
pub(crate) fn arguments(segment: &PathSegment) -> Vec<&Type> {
    match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => arguments
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Whether a path begins in the module itself.
fn is_here(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => {
            path.path.segments.len() == 2
                && path.path.segments.first().is_some_and(|first| first.ident == "self")
        }
        _ => false,
    }
}
