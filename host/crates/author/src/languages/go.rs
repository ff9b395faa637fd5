//! Go: Go's own compiler, for WASI preview 1.

use super::{Module, Source};
use crate::Problem;
use crate::project::Project;
use crate::tools::Job;

pub(crate) struct Go;

impl Module for Go {
    fn claims(&self, project: &Project) -> bool {
        project.has("go.mod")
    }

    fn sources(&self) -> &'static [Source] {
        &[]
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn build(&self, _: &mut Job<'_>) -> Result<Vec<u8>, Problem> {
        Err(Problem::new("projects in Go cannot be built yet"))
    }
}
