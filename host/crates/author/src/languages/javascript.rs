//! JavaScript and TypeScript: esbuild makes one file of the project, and an engine goes into the
//! component with it.

use super::{Module, Source};
use crate::Problem;
use crate::project::Project;
use crate::tools::Job;

pub(crate) struct JavaScript {
    /// TypeScript.
    pub(crate) typed: bool,
}

impl Module for JavaScript {
    fn claims(&self, project: &Project) -> bool {
        project.has("package.json") && project.has("tsconfig.json") == self.typed
    }

    fn sources(&self) -> &'static [Source] {
        &[]
    }

    fn example(&self) -> &'static str {
        ""
    }

    fn build(&self, _: &mut Job<'_>) -> Result<Vec<u8>, Problem> {
        Err(Problem::new("projects in JavaScript cannot be built yet"))
    }
}
