//! Python: componentize-py puts CPython, the project and what it imports into one component.

use super::{Module, Source};
use crate::Problem;
use crate::project::Project;
use crate::tools::Job;

pub(crate) struct Python;

impl Module for Python {
    fn claims(&self, project: &Project) -> bool {
        project.has("pyproject.toml") || !project.with_extension("py").is_empty()
    }

    fn sources(&self) -> &'static [Source] {
        &[]
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn build(&self, _: &mut Job<'_>) -> Result<Vec<u8>, Problem> {
        Err(Problem::new("projects in Python cannot be built yet"))
    }
}
