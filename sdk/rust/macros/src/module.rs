//! A module of tasks: read, checked, and written back with the code that exports them.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Item, ItemFn, ItemMod, parse_quote};

use crate::convert::{self, lift, lower};
use crate::declared::{Body, Declared};
use crate::package::Package;
use crate::shape::{Json, Shape};
use crate::task::{Output, Parameter, Task};
use crate::wit::Interface;
use crate::{docs, names};

/// All that is known of a module.
struct Module {
    kebab: String,
    docs: Vec<String>,
    tasks: Vec<Task>,
    bodies: Vec<Body>,
}

/// The code of `#[umbel::tasks]`.
pub(crate) fn expand(arguments: TokenStream, module: TokenStream) -> TokenStream {
    let mut module: ItemMod = match syn::parse2(module) {
        Ok(module) => module,
        Err(_) => {
            let what = "tasks are the functions of a module\nhelp: write `#[umbel::tasks] mod tasks { … }`";
            return syn::Error::new(proc_macro2::Span::call_site(), what).into_compile_error();
        }
    };
    let package = syn::parse2::<Package>(arguments);
    let code = match (package, exports(&module)) {
        (Ok(package), Ok(found)) => code(&package, &found, &Declared::new(items(&module))),
        (package, found) => {
            let errors = package.err().into_iter().chain(found.err().into_iter().flatten());
            errors.map(syn::Error::into_compile_error).collect()
        }
    };
    if let Some((_, items)) = &mut module.content {
        // Cases that only callers make, and fields that only callers read, are of use all the same.
        for item in items.iter_mut() {
            match item {
                Item::Struct(item) => item.attrs.push(parse_quote!(#[allow(dead_code)])),
                Item::Enum(item) => item.attrs.push(parse_quote!(#[allow(dead_code)])),
                _ => {}
            }
        }
        items.push(Item::Verbatim(code));
        // Here the word says that callers can call it.
        module.attrs.push(parse_quote!(#[allow(unreachable_pub)]));
        return quote!(#module);
    }
    quote!(#module #code)
}

fn items(module: &ItemMod) -> &[Item] {
    module.content.as_ref().map_or(&[], |(_, items)| items)
}

/// Reads a module, or finds all that is wrong with it.
fn exports(module: &ItemMod) -> Result<Module, Vec<syn::Error>> {
    if module.content.is_none() {
        let what = "the functions of this module stand in another file, which a macro cannot see\n\
                    help: write `mod tasks { … }` here, and call functions of other files from it";
        return Err(vec![syn::Error::new(module.ident.span(), what)]);
    }
    let declared = Declared::new(items(module));
    let mut errors = Vec::new();
    let mut tasks = Vec::new();
    let functions = items(module).iter().filter_map(|item| match item {
        Item::Fn(function) if Task::is_one(function) => Some(function),
        _ => None,
    });
    let functions: Vec<&ItemFn> = functions.collect();
    for function in &functions {
        match Task::read(function, &declared) {
            Ok(task) => tasks.push(task),
            Err(found) => errors.extend(found),
        }
    }
    if functions.is_empty() {
        let what = "this module has no tasks\nhelp: each `pub fn` in it is one";
        errors.push(syn::Error::new(module.ident.span(), what));
    }
    let shapes: Vec<_> = tasks.iter().flat_map(Task::shapes).collect();
    let bodies = declared.needed(&shapes).unwrap_or_else(|found| {
        errors.extend(found);
        Vec::new()
    });
    errors.extend(clashes(&tasks, &bodies));
    let kebab = names::kebab(&module.ident).unwrap_or_else(|error| {
        errors.push(error);
        String::new()
    });
    if errors.is_empty() {
        Ok(Module { kebab, docs: docs::of(&module.attrs), tasks, bodies })
    } else {
        Err(errors)
    }
}

/// Tasks and types share their names in WIT.
fn clashes(tasks: &[Task], bodies: &[Body]) -> Vec<syn::Error> {
    let mut seen: Vec<(&str, &Ident)> = Vec::new();
    let mut errors = Vec::new();
    let types = bodies.iter().map(|body| (body.kebab.as_str(), &body.name));
    let tasks = tasks.iter().map(|task| (task.kebab.as_str(), &task.name));
    for (kebab, name) in types.chain(tasks) {
        if let Some((_, other)) = seen.iter().find(|(taken, _)| *taken == kebab) {
            let what = format!("`{name}` and `{other}` are both `{kebab}` in WIT");
            errors.push(syn::Error::new(name.span(), format!("{what}\nhelp: rename one of them")));
        }
        seen.push((kebab, name));
    }
    errors
}

/// The code that stands beside the author's.
fn code(package: &Package, module: &Module, declared: &Declared) -> TokenStream {
    let checks = checks(module);
    let names = module.tasks.iter().map(|task| &task.name);
    let exports = component(package, module, declared);
    quote! {
        // Used, for all the compiler knows, where nothing is exported; and what types must be able to.
        const _: fn() = || {
            #(let _ = #names;)*
            #checks
        };

        #[cfg(target_family = "wasm")]
        #[doc(hidden)]
        #[allow(unused, unsafe_code, missing_docs, clippy::all, clippy::pedantic)]
        mod umbel_exports {
            #exports
        }
    }
}

/// Lines that compile if what serde or `umbel::Error` shall convert can be; errors point at the type.
fn checks(module: &Module) -> TokenStream {
    let mut checks = TokenStream::new();
    for task in &module.tasks {
        for (_, shape) in task.values() {
            json(shape, &mut |ty| {
                checks.extend(quote_spanned!(ty.span()=> ::umbel::exports::readable::<#ty>();))
            });
        }
        match &task.output {
            Output::Ending(shape, error) => {
                json(shape, &mut |ty| {
                    checks.extend(quote_spanned!(ty.span()=> ::umbel::exports::writable::<#ty>();))
                });
                if let Some(ty) = error {
                    checks.extend(quote_spanned!(ty.span()=> ::umbel::exports::ending::<#ty>();));
                }
            }
            Output::Value(shape) | Output::Result(shape, _) => {
                json(shape, &mut |ty| {
                    checks.extend(quote_spanned!(ty.span()=> ::umbel::exports::writable::<#ty>();))
                });
            }
        }
    }
    checks
}

/// The types that stand in `Json<…>`.
fn json(shape: &Shape, found: &mut dyn FnMut(&syn::Type)) {
    match shape {
        Shape::Json(Json::Wrapped(ty)) => found(ty),
        Shape::List(inner) | Shape::Option(inner) => json(inner, found),
        Shape::Tuple(members) => members.iter().for_each(|member| json(member, found)),
        Shape::Result(ok, err) => [ok, err].iter().for_each(|side| json(side, found)),
        _ => {}
    }
}

/// The bindings, and the trait of theirs implemented with the author's functions.
fn component(package: &Package, module: &Module, declared: &Declared) -> TokenStream {
    let (wit, with_types) = interface(package, module).write(declared);
    let with = with_types.then(|| quote!("umbel:task/types@0.1.0": ::umbel::types));
    let path = [&package.namespace, &package.name, &module.kebab].map(|part| names::snake(part));
    let types = quote!(umbel_bindings::exports::#(#path)::*);
    let conversions = module.bodies.iter().map(|body| convert::functions(body, &types));
    let functions = module.tasks.iter().map(|task| function(task, declared, &types));
    let tasks = module.tasks.iter().map(|task| (task.kebab.as_str(), task.docs.as_slice()));
    let docs = docs::section(&module.kebab, tasks);
    let (length, docs) = (docs.len(), Literal::byte_string(&docs));
    quote! {
        use super::*;

        mod umbel_bindings {
            ::umbel::wit_bindgen::generate!({
                inline: #wit,
                world: "plugin",
                runtime_path: "::umbel::wit_bindgen::rt",
                with: { #with },
            });
        }

        struct UmbelTasks;
        umbel_bindings::export!(UmbelTasks with_types_in umbel_bindings);

        impl #types::Guest for UmbelTasks {
            #(#functions)*
        }

        #(#conversions)*

        // The comments, where `umbel tasks` finds them.
        #[used]
        #[unsafe(link_section = "package-docs")]
        static UMBEL_DOCS: [u8; #length] = *#docs;
    }
}

fn interface<'a>(package: &'a Package, module: &'a Module) -> Interface<'a> {
    Interface {
        package,
        name: &module.kebab,
        docs: &module.docs,
        tasks: &module.tasks,
        bodies: &module.bodies,
    }
}

/// The WIT of a module that is right.
#[cfg(test)]
pub(crate) fn wit_of(arguments: TokenStream, module: TokenStream) -> String {
    let (package, module): (Package, ItemMod) =
        (syn::parse2(arguments).unwrap(), syn::parse2(module).unwrap());
    let Ok(found) = exports(&module) else { panic!("the module is not right") };
    interface(&package, &found).write(&Declared::new(items(&module))).0
}

/// One function of the trait.
fn function(task: &Task, declared: &Declared, types: &TokenStream) -> TokenStream {
    let name = names::snake(&task.kebab);
    let (mut parameters, mut lifted, mut arguments) = (Vec::new(), Vec::new(), Vec::new());
    for (index, parameter) in task.parameters.iter().enumerate() {
        let local = format_ident!("p{index}");
        let borrowed = match parameter {
            Parameter::Context { borrowed } => {
                lifted.push(quote!(let #local = ::umbel::Context::current();));
                borrowed
            }
            Parameter::Value { name, shape, borrowed } => {
                let wire = shape.wire(types);
                parameters.push(quote!(#local: #wire));
                let value = lift(shape, quote!(#local), &names::snake(name).to_string());
                lifted.push(quote!(let #local = #value;));
                borrowed
            }
        };
        arguments.push(if *borrowed { quote!(&#local) } else { quote!(#local) });
    }
    let (ours, call) = (&task.name, quote!((#(#arguments),*)));
    let (asynchronous, run, wait) = match task.is_async {
        true => (quote!(async), quote!(async move), quote!(.await)),
        false => (quote!(), quote!(move ||), quote!()),
    };
    let (wire, result, settle) = ending(task, declared, types);
    let outcome = if task.is_async { quote!(run.await) } else { quote!(run()) };
    quote! {
        #asynchronous fn #name(#(#parameters),*) -> #wire {
            let run = #run {
                #(#lifted)*
                let output = super::#ours #call #wait;
                ::core::result::Result::<_, ::umbel::Error>::Ok(#result)
            };
            #outcome #settle
        }
    }
}

/// The type that the bindings want, how `output` becomes it, and what becomes of an error on the way.
fn ending(
    task: &Task,
    declared: &Declared,
    types: &TokenStream,
) -> (TokenStream, TokenStream, TokenStream) {
    let result = |ok: &Shape| {
        let ok = ok.wire(types);
        quote!(::core::result::Result<#ok, ::umbel::types::Error>)
    };
    let fatal = quote!(.unwrap_or_else(::umbel::exports::fatal));
    match &task.output {
        Output::Value(shape) => {
            let lowered = lower(shape, text(shape, quote!(output)));
            if task.may_refuse(declared) {
                return (result(shape), lowered, quote!());
            }
            (shape.wire(types), lowered, fatal)
        }
        Output::Ending(shape, _) => {
            let output = quote!(output.map_err(::umbel::Error::from)?);
            (result(shape), lower(shape, text(shape, output)), quote!())
        }
        Output::Result(ok, err) => {
            let wire = Shape::Result(Box::new(ok.clone()), Box::new(err.clone())).wire(types);
            let (ok, lowered) =
                (lower(ok, text(ok, quote!(ok))), lower(err, text(err, quote!(err))));
            let result = quote! {
                match output {
                    ::core::result::Result::Ok(ok) => ::core::result::Result::Ok(#ok),
                    ::core::result::Result::Err(err) => ::core::result::Result::Err(#lowered),
                }
            };
            match err {
                Shape::Text => {
                    let settle = quote! {
                        .unwrap_or_else(|error| ::core::result::Result::Err(error.message().into()))
                    };
                    (wire, result, settle)
                }
                _ => (wire, result, fatal),
            }
        }
    }
}

/// Text may be returned as a `&'static str`.
fn text(shape: &Shape, value: TokenStream) -> TokenStream {
    match shape {
        Shape::Text => quote!(::core::convert::Into::<::std::string::String>::into(#value)),
        _ => value,
    }
}
