//! The life of a plugin while its worker runs: new versions, broken files, removals, versions side
//! by side, changed configuration; under load, and with very many of them.

mod canary;
mod component;
mod configuration;
mod crowd;
mod life;
mod load;
mod logged;
mod scene;
mod soak;
