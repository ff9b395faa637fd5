//! The life of plugins: files and configuration are watched, loaded, swapped and told of while the
//! worker runs. The first load is the first reload: there is one path.

mod configuration;
mod happening;
mod keeper;
mod report;
mod slot;
mod stamp;
mod state;
mod watch;

pub(crate) use configuration::Again;
pub(crate) use happening::Reloads;
pub(crate) use keeper::{Keeper, Keeping, View};
pub(crate) use stamp::{Seen, Stamp};
