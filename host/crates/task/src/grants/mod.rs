//! What an operator lets one plugin reach outside of its own memory. Pure: what matches what.

pub mod address;
pub mod host;
pub mod http;
pub mod keyvalue;
pub mod socket;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use self::address::{Network, is_public};
use self::http::HttpPattern;
use self::keyvalue::KeyValueGrant;
use self::socket::SocketPattern;

/// Everything one plugin was granted; nothing by default. All its tasks share it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grants {
    /// Where requests may go.
    pub http: Vec<HttpPattern>,
    /// Where TCP connections may go; nobody may listen.
    pub sockets: Vec<SocketPattern>,
    /// Addresses outside of the public internet that names may stand for.
    pub private: Vec<Network>,
    pub dirs: Vec<DirGrant>,
    /// Bytes of an empty directory of the run's own, gone when it ends.
    pub scratch: Option<u64>,
    /// Names of environment variables and their values.
    pub env: Vec<(String, String)>,
    /// What `wasi:config/store` tells.
    pub config: Vec<(String, String)>,
    pub keyvalue: Option<KeyValueGrant>,
    /// The clocks' smallest step; `None` is the system's own.
    pub coarse_clock: Option<Duration>,
}

impl Grants {
    /// True if a connection to `address` may be opened for a host that was granted: public ones,
    /// those that `private` holds, and what the pattern itself spells out as `named`.
    pub fn may_reach(&self, address: IpAddr, named: bool) -> bool {
        named || is_public(address) || self.private.iter().any(|network| network.holds(address))
    }
}

/// A directory of the host as guests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirGrant {
    pub host: PathBuf,
    pub guest: String,
    pub access: Access,
}

/// What may be done in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    /// Bytes that one run may add.
    Write {
        quota: u64,
    },
}

/// In few words, as the banner shows it: `http:cdn.example.com dirs:/data(ro) scratch`.
impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let http = self.http.iter().map(|pattern| format!("http:{}", pattern.place()));
        let sockets = self.sockets.iter().map(|pattern| format!("tcp:{}", pattern.place()));
        let dirs = self.dirs.iter().map(|dir| match dir.access {
            Access::Read => format!("dir:{}(ro)", dir.guest),
            Access::Write { .. } => format!("dir:{}(rw)", dir.guest),
        });
        let scratch = self.scratch.map(|_| "scratch".to_owned());
        let env = self.env.iter().map(|(name, _)| format!("env:{name}"));
        let config = (!self.config.is_empty()).then(|| "config".to_owned());
        let keyvalue = self.keyvalue.as_ref().map(|grant| format!("keyvalue:{}", grant.prefix));
        let coarse = self.coarse_clock.map(|step| format!("clock:{step:?}"));
        let words = http.chain(sockets).chain(dirs).chain(scratch).chain(env).chain(config);
        for (at, word) in words.chain(keyvalue).chain(coarse).enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{word}")?;
        }
        Ok(())
    }
}
