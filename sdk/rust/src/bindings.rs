//! The worker's interfaces as functions, generated; the types are those of this crate.

#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated from wit/task.wit"
)]

wit_bindgen::generate!({
    path: "wit/task.wit",
    world: "all",
    generate_all,
    with: {
        "umbel:task/types@0.1.0": crate::types,
        "umbel:task/context@0.1.0/delivery": crate::context::Delivery,
        "umbel:task/context@0.1.0/request": crate::context::Request,
        "umbel:task/log@0.1.0/level": crate::log::Level,
        "umbel:task/tasks@0.1.0/options": crate::tasks::Options,
        "umbel:task/tasks@0.1.0/submit-error": crate::tasks::SubmitError,
    },
});

pub(crate) use umbel::task::{context, log, progress, tasks};
