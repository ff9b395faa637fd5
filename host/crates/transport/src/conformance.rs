//! The suite every broker and store must pass.
