//! A task: what its function takes and gives.

use proc_macro2::Ident;
use syn::{FnArg, ItemFn, Pat, ReturnType, Type, Visibility};

use crate::declared::{Declared, unit};
use crate::shape::{Json, Shape, arguments};
use crate::{advice, docs, names};

/// A function that callers can call.
pub(crate) struct Task {
    pub(crate) name: Ident,
    pub(crate) kebab: String,
    pub(crate) docs: Vec<String>,
    pub(crate) is_async: bool,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) output: Output,
}

pub(crate) enum Parameter {
    /// Not of the callers' doing: who they are.
    Context {
        borrowed: bool,
    },
    Value {
        name: String,
        shape: Shape,
        borrowed: bool,
    },
}

pub(crate) enum Output {
    Value(Shape),
    /// A result whose error says how the task ends; the error's type if it is written.
    Ending(Shape, Option<Type>),
    /// A result whose error is a value.
    Result(Shape, Shape),
}

impl Task {
    /// Whether a function of the module is one.
    pub(crate) fn is_one(function: &ItemFn) -> bool {
        matches!(function.vis, Visibility::Public(_))
    }

    pub(crate) fn read(function: &ItemFn, declared: &Declared) -> Result<Task, Vec<syn::Error>> {
        plain(function).map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        let mut keep = |error| errors.push(error);
        let kebab = names::kebab(&function.sig.ident).map_err(&mut keep).ok();
        let parameters: Vec<_> = function
            .sig
            .inputs
            .iter()
            .filter_map(|argument| parameter(argument, declared).map_err(&mut keep).ok())
            .collect();
        let output = output(&function.sig.output, declared).map_err(&mut keep).ok();
        let (Some(kebab), Some(output), true) = (kebab, output, errors.is_empty()) else {
            return Err(errors);
        };
        Ok(Task {
            name: function.sig.ident.clone(),
            kebab,
            docs: docs::of(&function.attrs),
            is_async: function.sig.asyncness.is_some(),
            parameters,
            output,
        })
    }

    /// The values that callers give, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&str, &Shape)> {
        self.parameters.iter().filter_map(|parameter| match parameter {
            Parameter::Value { name, shape, .. } => Some((name.as_str(), shape)),
            Parameter::Context { .. } => None,
        })
    }

    /// All that crosses.
    pub(crate) fn shapes(&self) -> Vec<&Shape> {
        let mut shapes: Vec<_> = self.values().map(|(_, shape)| shape).collect();
        match &self.output {
            Output::Value(shape) | Output::Ending(shape, _) => shapes.push(shape),
            Output::Result(ok, err) => shapes.extend([ok, err]),
        }
        shapes
    }

    /// Whether callers may hear that their JSON does not fit, although the function has no error.
    pub(crate) fn may_refuse(&self, declared: &Declared) -> bool {
        let Output::Value(output) = &self.output else { return false };
        let json = |shape: &Shape| matches!(shape, Shape::Json(_));
        let wrapped = |shape: &Shape| matches!(shape, Shape::Json(Json::Wrapped(_)));
        self.values().any(|(_, shape)| shape.any(declared, &json)) || output.any(declared, &wrapped)
    }

    /// Whether it can end as `umbel:task/types.error` has it.
    pub(crate) fn has_ending(&self, declared: &Declared) -> bool {
        matches!(self.output, Output::Ending(..)) || self.may_refuse(declared)
    }
}

/// Nothing that only callers in Rust could make use of.
fn plain(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    let refuse =
        |tokens: &dyn quote::ToTokens, text: &str| Err(syn::Error::new_spanned(tokens, text));
    if let Some(attribute) =
        function.attrs.iter().find(|attribute| attribute.path().is_ident("cfg"))
    {
        let text = "a task is there or not, whatever is configured\nhelp: put the condition inside the function";
        return refuse(attribute, text);
    }
    if signature.generics.type_params().next().is_some()
        || signature.generics.const_params().next().is_some()
    {
        let text = "a task has no type parameters: its callers are in other languages\n\
                    help: write one task for each type";
        return refuse(&signature.generics, text);
    }
    if let Some(abi) = &signature.abi {
        return refuse(abi, "a task is a plain function\nhelp: leave out `extern`");
    }
    if let Some(variadic) = &signature.variadic {
        return refuse(
            variadic,
            "a task takes so many arguments\nhelp: take a `Vec<umbel::Value>` called `args`",
        );
    }
    Ok(())
}

fn parameter(argument: &FnArg, declared: &Declared) -> syn::Result<Parameter> {
    let FnArg::Typed(typed) = argument else {
        let text = "a task has no `self`: each run is a fresh one\nhelp: keep state in a store, or take it as a parameter";
        return Err(syn::Error::new_spanned(argument, text));
    };
    let (ty, borrowed) = match typed.ty.as_ref() {
        Type::Reference(reference) if reference.mutability.is_some() => {
            let text = "callers do not see what a task changes\nhelp: take the value, and return what became of it";
            return Err(syn::Error::new_spanned(&typed.ty, text));
        }
        Type::Reference(reference) => (reference.elem.as_ref(), true),
        ty => (ty, false),
    };
    if is_context(ty, declared) {
        return Ok(Parameter::Context { borrowed });
    }
    let shape = match ty {
        Type::Path(path) if borrowed && path.path.is_ident("str") => Shape::Text,
        Type::Slice(slice) if borrowed => Shape::List(Box::new(Shape::of(&slice.elem, declared)?)),
        ty => Shape::of(ty, declared)?,
    };
    if shape.has_unit() {
        return Err(unit(&typed.ty));
    }
    let Pat::Ident(name) = typed.pat.as_ref() else {
        let text = "callers give arguments by name, and this has none\nhelp: take it as a whole: `pair: (u32, u32)`";
        return Err(syn::Error::new_spanned(&typed.pat, text));
    };
    Ok(Parameter::Value { name: names::kebab(&name.ident)?, shape, borrowed })
}

fn is_context(ty: &Type, declared: &Declared) -> bool {
    let Type::Path(path) = ty else { return false };
    path.path.segments.last().is_some_and(|last| {
        last.ident == "Context"
            && declared.find(&last.ident).is_none()
            && arguments(last).is_empty()
    })
}

fn output(output: &ReturnType, declared: &Declared) -> syn::Result<Output> {
    let ReturnType::Type(_, ty) = output else {
        return Ok(Output::Value(Shape::Tuple(Vec::new())));
    };
    let ty = match ty.as_ref() {
        Type::Path(path) => {
            path.path.get_ident().and_then(|name| declared.alias(name)).unwrap_or(ty)
        }
        _ => ty,
    };
    let result = match ty {
        Type::Path(path) => path.path.segments.last().filter(|last| last.ident == "Result"),
        _ => None,
    };
    match result.map(arguments).as_deref() {
        Some([ok]) => Ok(Output::Ending(given(ok, declared)?, None)),
        Some([ok, err]) => {
            let ok = given(ok, declared)?;
            Ok(match given(err, declared) {
                Ok(err) => Output::Result(ok, err),
                Err(_) => Output::Ending(ok, Some((*err).clone())),
            })
        }
        _ => Ok(Output::Value(given(ty, declared)?)),
    }
}

/// The shape of what is returned: text may be borrowed for ever.
fn given(ty: &Type, declared: &Declared) -> syn::Result<Shape> {
    if let Type::Reference(reference) = ty
        && let Type::Path(path) = reference.elem.as_ref()
        && path.path.is_ident("str")
    {
        return match &reference.lifetime {
            Some(lifetime) if lifetime.ident == "static" => Ok(Shape::Text),
            _ => Err(advice::misfit(ty)),
        };
    }
    let shape = Shape::of(ty, declared)?;
    if !shape.is_unit() && shape.has_unit() { Err(unit(ty)) } else { Ok(shape) }
}
