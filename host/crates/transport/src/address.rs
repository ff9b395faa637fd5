//! Broker and store URLs in every form that Celery takes, and a Display that cannot print a password.

use std::fmt;

/// A parsed URL. `Display` and `Debug` mask the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub scheme: Scheme,
    pub user: Option<String>,
    password: Option<String>,
    pub host: String,
    pub port: u16,
    /// AMQP's virtual host, Redis's database number as text, SQLite's path.
    pub path: String,
    pub tls: bool,
    /// Query parameters in their order.
    pub query: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Amqp,
    Redis,
    Sqlite,
    /// `rpc://`: results travel over the broker's own connection address.
    Rpc,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}\nhelp: {help}")]
pub struct AddressError {
    /// Holds no password.
    pub what: String,
    pub help: String,
}

impl Address {
    /// `amqp://`, `pyamqp://`, `amqps://`, `redis://`, `rediss://`, `sqlite://`, `rpc://`.
    pub fn parse(url: &str) -> Result<Address, AddressError> {
        let _ = url;
        todo!()
    }

    /// Only transports ask.
    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
