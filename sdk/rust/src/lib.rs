//! What a Rust plugin needs beside its own functions: who called it, the worker's log, progress
//! reports, tasks that it sends itself, and endings other than success.
//!
//! A plugin describes its functions in WIT and implements the trait that [`plugin!`] makes of it:
//!
//! ```wit
//! package example:greetings@0.1.0;
//!
//! interface tasks {
//!     use umbel:task/types@0.1.0.{error};
//!     /// Greets somebody.
//!     greet: func(name: string) -> result<string, error>;
//! }
//!
//! world plugin {
//!     include umbel:task/imports@0.1.0;
//!     export tasks;
//! }
//! ```
//!
//! ```ignore
//! umbel_sdk::plugin!({ world: "example:greetings/plugin", path: ["../../wit", "wit"] });
//! use umbel_sdk::{Error, log};
//!
//! struct Greetings;
//! export!(Greetings);
//!
//! impl exports::example::greetings::tasks::Guest for Greetings {
//!     fn greet(name: String) -> Result<String, Error> {
//!         if name.is_empty() {
//!             return Err(Error::failed("ValueError", "nobody to greet"));
//!         }
//!         log::info(&format!("greeting {name}"));
//!         Ok(format!("Hello, {name}!"))
//!     }
//! }
//! ```
//!
//! Only what a plugin calls is imported by its component: one that never logs needs no `log`, and
//! one that never calls [`tasks`] needs no grant for it.

#[allow(unsafe_code, missing_docs, reason = "generated from wit/task.wit")]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "all",
        generate_all,
        generate_unused_types: true,
    });
}

#[cfg(feature = "json")]
pub mod canvas;
mod error;
#[cfg(feature = "json")]
pub mod json;
pub mod log;
pub mod progress;
pub mod tasks;

pub use bindings::umbel::task::{context, types};
pub use types::{Error, Failure, Json, Retry};

#[doc(hidden)]
pub use wit_bindgen;

/// Makes the trait to implement, and the macro `export!`, from the plugin's own WIT.
///
/// Takes the options of `wit_bindgen::generate!`; the worker's interfaces are already mapped to
/// the types of this crate.
#[macro_export]
macro_rules! plugin {
    ({ $($option:tt)* }) => {
        $crate::wit_bindgen::generate!({
            $($option)*,
            runtime_path: "umbel_sdk::wit_bindgen::rt",
            with: {
                "umbel:task/types@0.1.0": umbel_sdk::bindings::umbel::task::types,
                "umbel:task/context@0.1.0": umbel_sdk::bindings::umbel::task::context,
                "umbel:task/progress@0.1.0": umbel_sdk::bindings::umbel::task::progress,
                "umbel:task/log@0.1.0": umbel_sdk::bindings::umbel::task::log,
            },
        });
    };
}
