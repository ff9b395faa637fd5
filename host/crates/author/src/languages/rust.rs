//! Rust: cargo, for wasm32-wasip2.

use super::{Module, Source};
use crate::Problem;
use crate::project::Project;
use crate::tools::Job;

pub(crate) struct Rust;

impl Module for Rust {
    fn claims(&self, project: &Project) -> bool {
        project.has("Cargo.toml")
    }

    fn sources(&self) -> &'static [Source] {
        &[]
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn build(&self, _: &mut Job<'_>) -> Result<Vec<u8>, Problem> {
        Err(Problem::new("projects in Rust cannot be built yet"))
    }
}
