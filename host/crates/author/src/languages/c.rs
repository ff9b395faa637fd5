//! C: clang or zig, and bindings that are made in this process.

use super::{Module, Source};
use crate::Problem;
use crate::project::Project;
use crate::tools::Job;

pub(crate) struct C;

impl Module for C {
    fn claims(&self, project: &Project) -> bool {
        !project.has("Cargo.toml")
            && !project.has("go.mod")
            && !project.with_extension("c").is_empty()
    }

    fn sources(&self) -> &'static [Source] {
        &[]
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn build(&self, _: &mut Job<'_>) -> Result<Vec<u8>, Problem> {
        Err(Problem::new("projects in C cannot be built yet"))
    }
}
