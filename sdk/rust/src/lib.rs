//! Tasks in Rust: plain functions in, a plugin of Umbel out.
//!
//! ```
//! #[umbel::tasks]
//! mod tasks {
//!     /// How long a text is, and how long it takes to read.
//!     pub fn measure(text: String, words_per_minute: Option<u32>) -> Reading {
//!         let words = text.split_whitespace().count() as u32;
//!         let pace = words_per_minute.unwrap_or(200).max(1);
//!         Reading { words, seconds: f64::from(words * 60) / f64::from(pace) }
//!     }
//!
//!     /// What is known of a text.
//!     #[derive(Debug, umbel::Type)]
//!     pub struct Reading {
//!         pub words: u32,
//!         pub seconds: f64,
//!     }
//! }
//! # fn main() { assert_eq!(tasks::measure("to be".into(), None).words, 2); }
//! ```
//!
//! Each `pub fn` of the module is a task: in a plugin `texts`, callers say
//! `send_task("texts.measure", ["to be or not to be"])`. What its types mean to them is told at
//! [`tasks`](macro@tasks). A function that is not `pub` is none of theirs.
//!
//! A task that can fail returns [`Result`]: `?` works on any error, and [`Error::retry`] asks to be
//! run again. One that wants to know who called takes a [`Context`]. There are modules for
//! [`progress`], the [`log`] and for [sending tasks](mod@tasks). Only what a plugin calls is imported
//! by its component: one that never sends a task needs no grant for it.
//!
//! Tests are Rust's own: [`testing`] has what stands in for the worker there.
//!
//! The plugin's `Cargo.toml` says `crate-type = ["cdylib"]`; it is built for `wasm32-wasip2`.

#[cfg(target_family = "wasm")]
mod bindings;
pub mod canvas;
pub mod context;
mod error;
#[doc(hidden)]
pub mod exports;
mod host;
pub mod json;
pub mod log;
pub mod progress;
pub mod tasks;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
#[doc(hidden)]
pub mod types;

pub use context::Context;
pub use error::{Error, Failure, Result, Retry};
pub use json::{Json, Value};
pub use tasks::{SubmitError, submit};
pub use umbel_macros::Type;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub use wit_bindgen;

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
/// [`Context`] is none of theirs.
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
/// | [`Value`], [`Json<T>`](Json) | any JSON | `umbel:task/types.json` |
///
/// A last parameter `args: Vec<Value>` takes the positional arguments that are left, and one called
/// `kwargs`, a [`Value`] or a [`Json`], the keyword arguments that are.
///
/// What a task returns is a value of one of these, or a `Result`. Its error may be an
/// [`Error`], anything that becomes one, which fails the task with its type's name and its
/// message, or text or another type of the table, which fails the task with that.
///
/// An `async fn` becomes an asynchronous task (WASI 0.3).
///
/// A component has one such module. `#[umbel::tasks(package = "acme:images@1.0.0")]` names the WIT
/// package, which is `plugin:` and the crate's name otherwise.
pub use umbel_macros::tasks;

/// Makes the trait to implement, and the macro `export!`, from WIT of the plugin's own: for those who
/// would rather write that than have [`tasks`](macro@tasks) write it.
///
/// Takes the options of `wit_bindgen::generate!`; the worker's interfaces are already mapped to the
/// types of this crate. Their WIT has to be among the `path`s.
///
/// ```ignore
/// umbel::plugin!({ world: "example:greetings/plugin", path: ["wit/deps/umbel-task", "wit"] });
///
/// struct Greetings;
/// export!(Greetings);
///
/// impl exports::example::greetings::tasks::Guest for Greetings {
///     fn greet(name: String) -> Result<String, umbel::Error> {
///         Ok(format!("Hello, {name}!"))
///     }
/// }
/// ```
#[macro_export]
macro_rules! plugin {
    ({ $($option:tt)* }) => {
        $crate::wit_bindgen::generate!({
            $($option)*,
            runtime_path: "::umbel::wit_bindgen::rt",
            with: {
                "umbel:task/types@0.1.0": ::umbel::types,
                "umbel:task/context@0.1.0": ::umbel::context,
                "umbel:task/progress@0.1.0": ::umbel::progress,
                "umbel:task/log@0.1.0": ::umbel::log,
            },
        });
    };
}

/// A struct or an enum that tasks take or give; derived, in the module of the tasks.
///
/// A struct becomes a WIT `record` (an object with its fields for callers), an enum without data an
/// `enum` (a name), one with data a `variant` (`{"case": data}`), a struct around one value that value.
pub trait Type {}
