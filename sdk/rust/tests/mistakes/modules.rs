//! Modules that are no plugin.

#[umbel::tasks]
mod empty {
    fn helper() {}
}

#[umbel::tasks]
fn alone() {}

#[umbel::tasks(name = "images")]
mod options {
    pub fn task() {}
}

#[umbel::tasks(package = "images")]
mod packages {
    pub fn task() {}
}
