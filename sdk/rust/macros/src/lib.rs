//! The macros of `umbel-sdk`: `#[umbel::tasks]` and `#[derive(umbel::Type)]`.

use proc_macro::TokenStream;

mod advice;
mod convert;
mod declared;
mod docs;
mod module;
mod names;
mod package;
mod shape;
mod task;
mod wit;

/// Makes each `pub fn` of a module a task; `umbel::tasks` tells how.
#[proc_macro_attribute]
pub fn tasks(arguments: TokenStream, module: TokenStream) -> TokenStream {
    module::expand(arguments.into(), module.into()).into()
}

/// Says that tasks take or give a type; `umbel::Type` tells what it becomes.
#[proc_macro_derive(Type)]
pub fn derive_type(item: TokenStream) -> TokenStream {
    declared::derive(item.into()).into()
}
