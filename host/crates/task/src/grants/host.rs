//! The host part of a URL: what a guest asks for, and what an operator granted.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host as a guest names it, in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Lower case, without a last dot; never anything that a resolver reads as a number.
    Name(String),
    /// Never an IPv6 address that stands for an IPv4 one.
    Address(IpAddr),
}

impl Host {
    /// `example.com`, `192.0.2.1` or `[2001:db8::1]`. `None` for what different readers would
    /// understand differently: octal, hexadecimal and shortened addresses, zones, percent signs.
    pub fn parse(text: &str) -> Option<Host> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Host::Address(IpAddr::from(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Host::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.len() <= 63 && label.bytes().all(known)
        };
        if name.len() > 253 || !name.split('.').all(is_label) || ends_in_a_number(&name) {
            return None;
        }
        Some(Host::Name(name))
    }
}

/// True where old resolvers read an address: `0x7f000001`, `017700000001`, `127.1`.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal = last.strip_prefix("0x");
    last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Hosts an operator granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`
    Any,
    /// `*.example.com`: every name below it, not itself.
    Below(String),
    One(Host),
}

impl HostPattern {
    /// Reads `*`, `*.example.com`, a name or an address.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (below, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        match (below, Host::parse(rest)) {
            (true, Some(Host::Name(name))) => Ok(Self::Below(name)),
            (false, Some(host)) => Ok(Self::One(host)),
            _ => Err(format!("`{text}` is no host, nor `*.` and a name, nor `*`")),
        }
    }

    /// True if the host is among the granted ones.
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::One(one), host) => one == host,
            (Self::Below(parent), Host::Name(name)) => {
                name.strip_suffix(parent.as_str()).is_some_and(|front| front.ends_with('.'))
            }
            (Self::Below(_), Host::Address(_)) => false,
        }
    }

    /// True if the operator wrote this very address, so that it need not be public.
    pub fn spells_out(&self, host: &Host) -> bool {
        matches!((self, host), (Self::One(one), Host::Address(_)) if one == host)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::One(host) => write!(f, "{host}"),
        }
    }
}

/// Splits `host:port`; the port as text, if there is one.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    // Colons inside of brackets belong to the address.
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// A port as digits; zero is none.
pub(super) fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling_or_is_refused() {
        let check = |text: &str, expected: Option<&str>| {
            let found = Host::parse(text).map(|host| host.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("Example.COM", Some("example.com"));
        check("example.com.", Some("example.com"));
        check("a_b.example", Some("a_b.example"));
        check("127.0.0.1", Some("127.0.0.1"));
        check("[::1]", Some("[::1]"));
        check("[0:0::0:1]", Some("[::1]"));
        check("[::ffff:127.0.0.1]", Some("127.0.0.1"));
        check("[::ffff:7f00:1]", Some("127.0.0.1"));
        for wrong in [
            "",
            ".",
            "..",
            "a..b",
            "example.com..",
            "2130706433",
            "0x7f000001",
            "0x",
            "017700000001",
            "0177.0.0.1",
            "127.1",
            "127.0.0.1.",
            "127.0.0.0x1",
            "1.2.3.4.5",
            "256.1.1.1",
            "::1",
            "[::1",
            "[fe80::1%eth0]",
            "[127.0.0.1]",
            "ex%61mple.com",
            "user@example.com",
            "exämple.com",
            "a b",
            "a/b",
            "a\\b",
            "a#b",
            "*.example.com",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_pattern_matches_whole_labels() {
        let check = |pattern: &str, host: &str, expected: bool| {
            let pattern = HostPattern::parse(pattern).expect(pattern);
            let host = Host::parse(host).expect(host);
            assert_eq!(pattern.matches(&host), expected, "{pattern} and {host}");
        };
        check("example.com", "example.com", true);
        check("Example.com", "EXAMPLE.com.", true);
        check("example.com", "www.example.com", false);
        check("example.com", "badexample.com", false);
        check("*.example.com", "www.example.com", true);
        check("*.example.com", "a.b.example.com", true);
        check("*.example.com", "example.com", false);
        check("*.example.com", "badexample.com", false);
        check("*.example.com", "example.com.evil.org", false);
        check("*", "anything.at.all", true);
        check("*", "10.0.0.1", true);
        check("10.0.0.1", "[::ffff:10.0.0.1]", true);
        check("10.0.0.1", "10.0.0.2", false);
    }

    #[test]
    fn only_a_literal_address_is_spelt_out() {
        let check = |pattern: &str, host: &str, expected: bool| {
            let pattern = HostPattern::parse(pattern).expect(pattern);
            assert_eq!(pattern.spells_out(&Host::parse(host).expect(host)), expected, "{pattern}");
        };
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "[::ffff:127.0.0.1]", true);
        check("*", "127.0.0.1", false);
        check("localhost", "localhost", false);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for wrong in ["", "*.", "**", "*.*.com", "www.*.com", "*.10.0.0.1", "127.1", "a@b"] {
            assert!(HostPattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
