//! The macros of `umbel-sdk`: `#[umbel::tasks]` and `#[derive(umbel::Type)]`.

use proc_macro::TokenStream;

mod advice;
mod convert;
mod declared;
mod docs;
mod module;
mod names;
mod shape;
mod task;
mod wit;

/// Makes each `pub fn` of a module a task.
///
/// ```
/// #[umbel::tasks]
/// mod tasks {
///     use umbel::{Context, Error};
///
///     /// Makes an invoice number. The comment is what `umbel tasks` shows.
///     pub fn number(ctx: &Context, customer: u32, currency: Option<Currency>) -> umbel::Result<String> {
///         if customer == 0 {
///             return Err(Error::failed("ValueError", "customers are counted from one"));
///         }
///         let currency = currency.unwrap_or(Currency::Eur);
///         Ok(format!("{customer}-{currency:?}-{}", ctx.retries))
///     }
///
///     #[derive(Debug, umbel::Type)]
///     pub enum Currency {
///         Eur,
///         Usd,
///     }
/// }
/// # fn main() {}
/// ```
///
/// The functions stay what they are: tests and other code call them. Their names and those of their
/// parameters are those of the callers, in Python or elsewhere. A parameter of type
/// [`Context`](struct@Context) is none of theirs.
///
/// | Rust | for callers | WIT |
/// |---|---|---|
/// | `u8` … `u64`, `i8` … `i64` | an integer; one that does not fit is refused | `u8` … `s64` |
/// | `f32`, `f64`, `bool`, `char` | a number, a truth value, text of one character | `f32`, `f64`, `bool`, `char` |
/// | `String`, and `&str` as a parameter | text | `string` |
/// | `Vec<u8>`, and `&[u8]` as a parameter | bytes | `list<u8>` |
/// | `Vec<T>`, and `&[T]` as a parameter | a list | `list<t>` |
/// | `Option<T>` | the value or none; may be left out | `option<t>` |
/// | tuples | a list of so many | `tuple<…>` |
/// | structs with `#[derive(umbel::Type)]` | an object | `record` |
/// | enums with it | a name, or `{"name": data}` | `enum`, `variant` |
/// | [`Value`](enum@Value), [`Json<T>`](struct@Json) | any JSON | `umbel:task/types.json` |
///
/// What a task returns is a value of one of these, or a `Result`. Its error may be an
/// [`Error`](enum@Error), anything that becomes one, which fails the task with its type's name and its
/// message, or text or another type of the table, which fails the task with that.
///
/// An `async fn` becomes an asynchronous task (WASI 0.3).
///
/// A component has one such module. `#[umbel::tasks(package = "acme:images@1.0.0")]` names the WIT
/// package, which is `plugin:` and the crate's name otherwise.
#[proc_macro_attribute]
pub fn tasks(arguments: TokenStream, module: TokenStream) -> TokenStream {
    module::expand(arguments.into(), module.into()).into()
}

/// Says that tasks take or give a type; see [`tasks`](macro@tasks) for what it becomes.
#[proc_macro_derive(Type)]
pub fn derive_type(item: TokenStream) -> TokenStream {
    declared::derive(item.into()).into()
}
