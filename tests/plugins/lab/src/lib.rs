//! The tasks of the compatibility suite. What each one is for stands in `wit/lab.wit`.

mod endings;
mod request;
mod services;
mod time;
mod values;

umbel::plugin!({ world: "test:lab/plugin", path: ["../../../wit", "wit"] });

struct Lab;
export!(Lab);

/// Makes something visible to the case that waits for it, whatever becomes of the result.
fn witness(key: &str, value: &str) {
    umbel::log::info(&format!("witness {key} {value} ;"));
}
