//! Broker and store URLs in every form that Celery takes, and a Display that cannot print a password.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// A parsed URL, or several that are tried in turn. `Display` and `Debug` mask the passwords.
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
    /// The server is a sentinel, which names the Redis server that is master now.
    pub sentinel: bool,
    /// Query parameters in their order.
    pub query: Vec<(String, String)>,
    /// The servers after the first.
    others: Vec<Address>,
}

/// What kind of server or file an address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Amqp,
    Redis,
    Sqlite,
    /// `rpc://`: results travel over the broker's own connection address.
    Rpc,
}

/// Why a text is no address; what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}\nhelp: {help}")]
pub struct AddressError {
    /// Holds no password.
    pub what: String,
    pub help: String,
}

/// Query parameters that name a file with the authorities that a server's certificate is checked
/// against.
pub(crate) const AUTHORITIES: &[&str] = &["ca_certs", "ssl_ca_certs", "ca_cert", "cacertfile"];

/// Query parameters that name a file with our own certificate.
pub(crate) const CERTIFICATE: &[&str] = &["certfile", "ssl_certfile"];

/// Query parameters that name a file with our certificate's key.
pub(crate) const KEY: &[&str] = &["keyfile", "ssl_keyfile"];

const FORMS: &str = "accepted forms: `amqp://user:password@host:5672/vhost`, `amqps://…`, \
     `redis://:password@host:6379/0`, `rediss://…`, \
     `sentinel://host:26379/0?master_name=mymaster`, `sqlite:///absolute/path`, \
     `sqlite://relative/path`, `rpc://` (results only); several servers with `;` between";

const ENCODE: &str = "inside a user name, password or virtual host write `@` as `%40`, `:` as \
     `%3A`, `/` as `%2F`, `?` as `%3F`, `#` as `%23` and `%` as `%25`";

/// What a shown user name escapes.
const SHOWN_USER: &AsciiSet =
    &CONTROLS.add(b' ').add(b'@').add(b':').add(b'/').add(b'?').add(b'#').add(b'%').add(b'[');

/// What a shown path escapes. Not `/`: Celery shows the virtual host `/` as `//`.
const SHOWN_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'@').add(b'?').add(b'#').add(b'%');

impl Address {
    /// `amqp://`, `pyamqp://`, `amqps://`, `redis://`, `rediss://`, `sentinel://`, `sqlite://`,
    /// `rpc://`; or several servers of one kind with `;` between. What a URL leaves out is filled in
    /// as Celery does; query parameters hold for all.
    pub fn parse(urls: &str) -> Result<Address, AddressError> {
        let mut servers = split_urls(urls).map(parse_one).collect::<Result<Vec<_>, _>>()?;
        let all: Vec<_> = servers.iter().flat_map(|server| server.query.clone()).collect();
        let mut first = servers.remove(0);
        for other in &mut servers {
            let networked = matches!(first.scheme, Scheme::Amqp | Scheme::Redis);
            if !networked || (other.scheme, other.sentinel) != (first.scheme, first.sentinel) {
                return Err(error("the URLs name servers of different kinds", FORMS));
            }
            // Its own come last, and count.
            other.query = [&all[..], &other.query].concat();
        }
        if !servers.is_empty() {
            first.query = [&all[..], &first.query].concat();
        }
        first.others = servers;
        Ok(first)
    }

    /// Each server alone, in the order in which they are to be tried.
    pub fn servers(&self) -> Vec<Address> {
        let first = Address { others: Vec::new(), ..self.clone() };
        std::iter::once(first).chain(self.others.iter().cloned()).collect()
    }

    /// The last value of a query parameter.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The files that any of its servers is dialled with.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let names = [AUTHORITIES, CERTIFICATE, KEY].concat();
        // The first server's query has everybody's parameters in it.
        let named = self.query.iter().filter(move |(key, _)| names.contains(&key.as_str()));
        named.map(|(_, file)| file.as_str())
    }

    /// Only transports ask.
    #[allow(dead_code, reason = "not every set of transports needs it")]
    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

fn parse_one(url: &str) -> Result<Address, AddressError> {
    // Nothing of the text is repeated here: without `://` all of it may be a password.
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(error("the URL has no scheme", FORMS));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "amqp" | "pyamqp" => network(Scheme::Amqp, false, 5672, rest),
        "amqps" => network(Scheme::Amqp, true, 5671, rest),
        "redis" => network(Scheme::Redis, false, 6379, rest),
        "rediss" => network(Scheme::Redis, true, 6379, rest),
        "sentinel" => sentinel(rest),
        "sqlite" => file(rest),
        "rpc" => rpc(rest),
        "redis+socket" => Err(error(
            "`redis+socket://` is not supported",
            "name the server itself: `redis://:password@host:6379/0`",
        )),
        other if is_scheme(other) => {
            Err(error(format!("`{other}://` is not a known kind of broker or store"), FORMS))
        }
        _ => Err(error("the URL does not start with a scheme", FORMS)),
    }
}

/// At each `;` that another URL follows; a file's name may hold one.
fn split_urls(urls: &str) -> impl Iterator<Item = &str> {
    let urls = urls.trim();
    let networked = !urls.to_ascii_lowercase().starts_with("sqlite:");
    let mut rest = Some(if networked { urls.trim_end_matches(';') } else { urls });
    std::iter::from_fn(move || {
        let text = rest?;
        let ends = text.match_indices(';').map(|(at, _)| at);
        let mut ends = ends.filter(|at| {
            let scheme = text[at + 1..].split_once("://").map(|(scheme, _)| scheme.trim());
            scheme.is_some_and(is_scheme)
        });
        let end = ends.next();
        rest = end.map(|end| &text[end + 1..]);
        Some(text[..end.unwrap_or(text.len())].trim())
    })
}

fn network(
    scheme: Scheme,
    tls: bool,
    usual_port: u16,
    rest: &str,
) -> Result<Address, AddressError> {
    if rest.contains('#') {
        return Err(error("the URL holds a `#`", ENCODE));
    }
    let (rest, query) = split_query(rest)?;
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, path),
        None => (rest, ""),
    };
    // A password with a bare `/` in it would end up in the path, and be shown.
    if path.contains('@') {
        return Err(error("the URL has an `@` after the first `/`", ENCODE));
    }
    let (login, server) = match authority.rsplit_once('@') {
        Some((login, server)) => (login, server),
        None => ("", authority),
    };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = split_port(server)?;
    let mut address = Address {
        scheme,
        user: decode(user, "user name")?,
        password: decode(password, "password")?,
        host: decode(host, "host")?.unwrap_or_else(|| "localhost".into()).to_ascii_lowercase(),
        port: port.unwrap_or(usual_port),
        path: decode(path, "path")?.unwrap_or_default(),
        tls,
        query,
        ..Address::bare(scheme)
    };
    match scheme {
        Scheme::Redis => address.path = database(&address.path)?,
        _ => {
            // Each on its own, as kombu does.
            address.user.get_or_insert_with(|| "guest".into());
            address.password.get_or_insert_with(|| "guest".into());
            if address.path.is_empty() {
                address.path = "/".into();
            }
        }
    }
    Ok(address)
}

/// Login and database are those of the server that the sentinel names.
fn sentinel(rest: &str) -> Result<Address, AddressError> {
    Ok(Address { sentinel: true, ..network(Scheme::Redis, false, 26379, rest)? })
}

fn file(rest: &str) -> Result<Address, AddressError> {
    let (path, query) = split_query(rest)?;
    let mut path = decode(path, "path")?.unwrap_or_else(|| "umbel.db".into());
    if path.trim_start_matches('/') == ":memory:" {
        return Err(error(
            "an SQLite database in memory is seen by one process only and lost with it",
            "name a file: `sqlite:///absolute/path` or `sqlite://relative/path`",
        ));
    }
    // SQLAlchemy's four slashes for an absolute path.
    if path.starts_with("//") {
        path = format!("/{}", path.trim_start_matches('/'));
    }
    if path.ends_with('/') || path.contains('\0') {
        return Err(error(
            "the SQLite URL names no file",
            "name a file: `sqlite:///absolute/path` or `sqlite://relative/path`",
        ));
    }
    Ok(Address { path, query, ..Address::bare(Scheme::Sqlite) })
}

fn rpc(rest: &str) -> Result<Address, AddressError> {
    if !rest.trim_matches('/').is_empty() {
        return Err(error(
            "`rpc://` takes no host",
            "results over `rpc://` use the broker's connection: write just `rpc://`",
        ));
    }
    Ok(Address::bare(Scheme::Rpc))
}

impl Address {
    fn bare(scheme: Scheme) -> Address {
        Address {
            scheme,
            user: None,
            password: None,
            host: String::new(),
            port: 0,
            path: String::new(),
            tls: false,
            sentinel: false,
            query: Vec::new(),
            others: Vec::new(),
        }
    }
}

fn database(path: &str) -> Result<String, AddressError> {
    match path.trim_matches('/') {
        "" => Ok("0".into()),
        number => match number.parse::<u32>() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err(error(
                "the database of a Redis URL is not a number",
                "write it after the host: `redis://:password@host:6379/0`",
            )),
        },
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`, `:port`, nothing.
fn split_port(server: &str) -> Result<(&str, Option<u16>), AddressError> {
    if server.contains([';', ',']) {
        let help = "write each as a URL of its own: `redis://a:6379/0;redis://b:6379/0`";
        return Err(error("the URL names several servers", help));
    }
    let (host, port) = match server.strip_prefix('[') {
        Some(v6) => match v6.split_once(']') {
            Some((host, "")) => (host, ""),
            Some((host, port)) if port.starts_with(':') => (host, &port[1..]),
            _ => return Err(error("the IPv6 address lacks its `]`", "write `[::1]:5672`")),
        },
        None => server.split_once(':').unwrap_or((server, "")),
    };
    if port.contains(':') {
        return Err(error("the URL has more than one `:` after the host", ENCODE));
    }
    match port {
        "" => Ok((host, None)),
        port => match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok((host, Some(port))),
            // The port's text is not repeated: it is a password when its `@` is missing or cut off.
            _ => Err(error("the port is not a number from 1 to 65535", ENCODE)),
        },
    }
}

type Query = Vec<(String, String)>;

fn split_query(rest: &str) -> Result<(&str, Query), AddressError> {
    let Some((rest, query)) = rest.split_once('?') else { return Ok((rest, Vec::new())) };
    if query.contains('@') && !rest.contains('@') {
        return Err(error("the URL has an `@` after the first `?`", ENCODE));
    }
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.replace('+', " ");
        pairs.push((
            decode(key, "query")?.unwrap_or_default(),
            decode(&value, "query")?.unwrap_or_default(),
        ));
    }
    Ok((rest, pairs))
}

/// Percent-decodes; nothing is `None`.
fn decode(text: &str, part: &str) -> Result<Option<String>, AddressError> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text.into_owned())),
        Err(_) => Err(error(format!("the {part} of the URL is not UTF-8 once decoded"), ENCODE)),
    }
}

fn is_scheme(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn error(what: impl Into<String>, help: &str) -> AddressError {
    AddressError { what: what.into(), help: help.into() }
}

/// As Celery's banner shows it: `amqp://guest:**@localhost:5672//`. The query is left out, for it
/// may hold secrets too.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = utf8_percent_encode(&self.path, SHOWN_PATH);
        let scheme = match (self.scheme, self.tls) {
            (Scheme::Amqp, false) => "amqp",
            (Scheme::Amqp, true) => "amqps",
            (Scheme::Redis, _) if self.sentinel => "sentinel",
            (Scheme::Redis, false) => "redis",
            (Scheme::Redis, true) => "rediss",
            (Scheme::Sqlite, _) => return write!(f, "sqlite://{path}"),
            (Scheme::Rpc, _) => return f.write_str("rpc://"),
        };
        write!(f, "{scheme}://")?;
        if let Some(user) = &self.user {
            write!(f, "{}", utf8_percent_encode(user, SHOWN_USER))?;
        }
        if self.password.is_some() {
            f.write_str(":**")?;
        }
        if self.user.is_some() || self.password.is_some() {
            f.write_str("@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}/{path}", self.host, self.port)?,
            false => write!(f, "{}:{}/{path}", self.host, self.port)?,
        }
        self.others.iter().try_for_each(|other| write!(f, ";{other}"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
