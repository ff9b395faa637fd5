//! What no compiler checks: who may depend on whom, where Celery's words may stand, how files look.
//! Needs nothing but the sources.

mod dependencies;
mod layers;
mod sources;
mod text;
