//! Which HTTP requests were granted: scheme, host, port, and where the path begins.

use std::fmt;
use std::str::FromStr;

use super::host::{Host, HostPattern, port, split_port};

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// The port where none is written.
    pub fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// Where a request goes, understood once, so that what was checked is what is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub scheme: Scheme,
    pub host: Host,
    pub port: u16,
    /// Without its query.
    pub path: String,
}

impl Target {
    /// `None` for an authority with a user in it, without a host or with a port that is none.
    pub fn new(scheme: Scheme, authority: &str, path: &str) -> Option<Self> {
        let (host, number) = split_port(authority);
        let port = match number {
            Some(number) => port(number)?,
            None => scheme.port(),
        };
        let path = if path.is_empty() { "/" } else { path };
        Some(Self { scheme, host: Host::parse(host)?, port, path: path.to_owned() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        if self.port != self.scheme.port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// Requests an operator granted: `https://*.example.com:8443/api`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpPattern {
    pub scheme: Scheme,
    pub host: HostPattern,
    pub port: u16,
    /// The path must be this one or lie below it; empty for every path.
    pub path: String,
}

impl HttpPattern {
    /// True if the request was granted by this pattern.
    pub fn matches(&self, target: &Target) -> bool {
        self.scheme == target.scheme
            && self.port == target.port
            && self.host.matches(&target.host)
            && (self.path.is_empty() || lies_below(&target.path, &self.path))
    }

    /// Host and, where it is not the usual one, port.
    pub fn place(&self) -> String {
        match self.port == self.scheme.port() {
            true => self.host.to_string(),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// By whole segments. A path that servers may understand differently lies below nothing.
fn lies_below(path: &str, parent: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let plain = lower.replace("%2e", ".");
    let climbs = plain.split('/').any(|segment| matches!(segment, "." | ".."));
    // A semicolon hides a segment from the servers that cut there.
    let hidden =
        ["%2f", "%5c", "%00", "%25", "\\", ";", "//"].iter().any(|mark| lower.contains(mark));
    let rest = path.strip_prefix(parent);
    !climbs && !hidden && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl FromStr for HttpPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            _ => return Err(format!("`{text}` does not begin with `https://` or `http://`")),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(format!(
                "`{scheme}://…`: a user has no place in it",
                scheme = scheme.name()
            ));
        }
        let path = path.trim_end_matches('/');
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        if !path.bytes().all(known) || (!path.is_empty() && !lies_below(path, path)) {
            return Err(format!("`{text}`: only a plain path may follow the host"));
        }
        let (host, number) = split_port(authority);
        let port = match number {
            Some(number) => {
                port(number).ok_or_else(|| format!("`{text}`: `{number}` is no port"))?
            }
            None => scheme.port(),
        };
        Ok(Self { scheme, host: HostPattern::parse(host)?, port, path: path.to_owned() })
    }
}

impl fmt::Display for HttpPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.place(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Option<Target> {
        let (scheme, rest) = url.split_once("://").expect(url);
        let scheme = if scheme == "http" { Scheme::Http } else { Scheme::Https };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Target::new(scheme, authority, path)
    }

    #[test]
    fn scheme_host_port_and_path_must_all_fit() {
        let check = |pattern: &str, url: &str, expected: bool| {
            let pattern: HttpPattern = pattern.parse().expect(pattern);
            let found = target(url).is_some_and(|target| pattern.matches(&target));
            assert_eq!(found, expected, "{pattern} and {url}");
        };
        check("https://cdn.example.com", "https://cdn.example.com/a/b", true);
        check("https://cdn.example.com/", "https://cdn.example.com", true);
        check("https://cdn.example.com", "https://cdn.example.com:443/", true);
        check("https://cdn.example.com", "http://cdn.example.com/", false);
        check("https://cdn.example.com", "https://cdn.example.com:8443/", false);
        check("https://*.example.com:8443", "https://a.example.com:8443/", true);
        check("https://*.example.com:8443", "https://a.example.com/", false);
        check("http://[::1]:8000", "http://[0:0::1]:8000/", true);
        check("http://127.0.0.1", "http://[::ffff:127.0.0.1]/", true);
        // Tricks with the authority.
        check("https://example.com", "https://example.com@evil.org/", false);
        check("https://example.com", "https://evil.org@example.com/", false);
        check("https://example.com", "https://example.com:443@evil.org/", false);
        check("https://example.com", "https://example.com:/", false);
        check("https://example.com", "https://example.com:00443/", true);
        check("https://example.com", "https://example.com:65979/", false);
        check("https://*", "https://2130706433/", false);
        check("https://*", "https://0x7f.1/", false);
        // Paths.
        check("https://example.com/api", "https://example.com/api", true);
        check("https://example.com/api", "https://example.com/api/v1", true);
        check("https://example.com/api/", "https://example.com/api/v1", true);
        check("https://example.com/api", "https://example.com/apiary", false);
        check("https://example.com/api", "https://example.com/", false);
        check("https://example.com/api", "https://example.com/api/../admin", false);
        check("https://example.com/api", "https://example.com/api/%2E%2e/admin", false);
        check("https://example.com/api", "https://example.com/api/..%2fadmin", false);
        check("https://example.com/api", "https://example.com/api/..;/admin", false);
        check("https://example.com/api", "https://example.com/api/%252e%252e/admin", false);
        check("https://example.com/api", "https://example.com//api/x", false);
        check("https://example.com", "https://example.com/a/../b", true);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for wrong in [
            "",
            "example.com",
            "ftp://example.com",
            "HTTPS://example.com",
            "https://",
            "https:///path",
            "https://user@example.com",
            "https://example.com:0",
            "https://example.com:99999",
            "https://example.com:x",
            "https://example.com/a?b",
            "https://example.com/a#b",
            "https://example.com/../x",
            "https://exam*ple.com",
        ] {
            assert!(wrong.parse::<HttpPattern>().is_err(), "{wrong}");
        }
    }
}
