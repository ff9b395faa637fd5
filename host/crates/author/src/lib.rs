//! What the author of a plugin does: begin a project, build a component of it. Knows compilers and
//! WIT; knows neither Celery nor the engine.

mod bindings;
pub mod build;
pub mod encode;
mod files;
mod languages;
mod merge;
mod name;
pub mod new;
mod problem;
mod project;
mod tools;

use std::fmt;
use std::path::PathBuf;

pub use self::name::Name;
pub use self::problem::Problem;

/// The languages that projects can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// Built by cargo for `wasm32-wasip2`.
    Rust,
    /// CPython in the component, by componentize-py.
    Python,
    /// An engine in the component, by componentize-qjs or componentize-js.
    JavaScript,
    /// JavaScript once esbuild has been over it.
    TypeScript,
    /// Built by clang or zig.
    C,
    /// Built by Go's own compiler.
    Go,
}

impl Language {
    /// All of them, in the order in which help names them.
    pub const ALL: [Language; 6] = [
        Language::Rust,
        Language::Python,
        Language::JavaScript,
        Language::TypeScript,
        Language::C,
        Language::Go,
    ];

    /// As the command line spells it.
    pub fn key(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Python => "python",
            Language::JavaScript => "javascript",
            Language::TypeScript => "typescript",
            Language::C => "c",
            Language::Go => "go",
        }
    }
}

/// As its people write it.
impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Language::Rust => "Rust",
            Language::Python => "Python",
            Language::JavaScript => "JavaScript",
            Language::TypeScript => "TypeScript",
            Language::C => "C",
            Language::Go => "Go",
        })
    }
}

/// Looks up an environment variable; whoever calls this crate reads the environment, not it.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<PathBuf>;

/// Who is told what a build is doing.
pub trait Show {
    /// A step begins: a few words, for example `compile with cargo`.
    fn step(&mut self, what: &str);
    /// The step goes on; called several times a second.
    fn tick(&mut self);
    /// Something a compiler said that the author should read, as it is.
    fn said(&mut self, text: &str);
    /// True if compilers may use colours.
    fn colour(&self) -> bool {
        false
    }
}
