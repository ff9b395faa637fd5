//! Which TCP connections were granted.

use std::fmt;
use std::str::FromStr;

use super::host::{Host, HostPattern, port, split_port};

/// Connections an operator granted: `tcp://db.example.com:5432`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketPattern {
    pub host: HostPattern,
    pub port: u16,
}

impl SocketPattern {
    /// True if connections to this port of this host are granted.
    pub fn matches(&self, host: &Host, port: u16) -> bool {
        self.port == port && self.host.matches(host)
    }

    /// Host and port.
    pub fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl FromStr for SocketPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(("tcp", rest)) = text.split_once("://") else {
            return Err(format!("`{text}` does not begin with `tcp://`"));
        };
        let (host, number) = split_port(rest);
        let port = number.and_then(port);
        let port = port.ok_or_else(|| format!("`{text}` does not end in a port"))?;
        Ok(Self { host: HostPattern::parse(host)?, port })
    }
}

impl fmt::Display for SocketPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp://{}", self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_must_both_fit() {
        let check = |pattern: &str, host: &str, port: u16, expected: bool| {
            let pattern: SocketPattern = pattern.parse().expect(pattern);
            let host = Host::parse(host).expect(host);
            assert_eq!(pattern.matches(&host, port), expected, "{pattern} and {host}:{port}");
        };
        check("tcp://db.example.com:5432", "db.example.com", 5432, true);
        check("tcp://db.example.com:5432", "db.example.com", 5433, false);
        check("tcp://db.example.com:5432", "example.com", 5432, false);
        check("tcp://*.example.com:5432", "db.example.com", 5432, true);
        check("tcp://[fd00::1]:1", "[fd00::1]", 1, true);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for wrong in [
            "",
            "db:5432",
            "udp://db:5432",
            "tcp://db",
            "tcp://db:",
            "tcp://db:0",
            "tcp://:5432",
            "tcp://db:5432/",
            "tcp://u@db:5432",
            "tcp://[::1]",
        ] {
            assert!(wrong.parse::<SocketPattern>().is_err(), "{wrong}");
        }
    }
}
