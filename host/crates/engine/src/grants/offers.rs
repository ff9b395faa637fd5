//! Every interface that a component may import, and what an import was probably meant to be that is
//! none of them.

/// Interfaces of one package, at the versions that one implementation serves.
pub(super) struct Offer {
    pub(super) package: &'static str,
    /// The version that is here; an import may name any that is compatible.
    pub(super) version: &'static str,
    pub(super) interfaces: &'static [&'static str],
    pub(super) access: Access,
}

/// What it takes to import an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody may.
    Everybody,
    /// Everybody may, for language runtimes always do; without one of these keys of `allow` there is
    /// nothing behind it.
    Empty(&'static [&'static str]),
    /// One of these keys of `allow` is needed; the line as the operator would write it.
    Granted(&'static [&'static str], &'static str),
}

impl Access {
    /// The keys of `allow` that have to do with it.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Everybody => &[],
            Self::Empty(keys) | Self::Granted(keys, _) => keys,
        }
    }
}

use Access::{Empty, Everybody, Granted};

const fn offer(
    package: &'static str,
    version: &'static str,
    interfaces: &'static [&'static str],
    access: Access,
) -> Offer {
    Offer { package, version, interfaces, access }
}

const HTTP: Access = Granted(&["http"], "http = [\"https://HOST\"]");
const KEYVALUE: Access =
    Granted(&["keyvalue"], "keyvalue = { url = \"redis://HOST\", prefix = \"NAME\" }");
const CONFIG: Access = Granted(&["config"], "config = { KEY = \"VALUE\" }");
const SUBMIT: Access = Granted(&["submit"], "submit = [\"NAME\"]");

const TERMINALS: &[&str] =
    &["terminal-input", "terminal-output", "terminal-stdin", "terminal-stdout", "terminal-stderr"];

const TCP: &[&str] = &["network", "instance-network", "ip-name-lookup", "tcp", "tcp-create-socket"];

const FILES: &[&str] = &["types", "preopens"];

/// The most specific first, where a package has several.
pub(super) const OFFERS: &[Offer] = &[
    offer("umbel:task", "0.1.0", &["types", "context", "progress", "log"], Everybody),
    offer("umbel:task", "0.1.0", &["tasks"], SUBMIT),
    offer("wasi:cli", "0.2.12", &["exit", "stdin", "stdout", "stderr"], Everybody),
    offer("wasi:cli", "0.2.12", &["environment"], Empty(&["env"])),
    offer("wasi:cli", "0.2.12", TERMINALS, Everybody),
    offer("wasi:clocks", "0.2.12", &["monotonic-clock", "wall-clock"], Everybody),
    offer("wasi:filesystem", "0.2.12", FILES, Empty(&["dirs", "scratch"])),
    offer("wasi:io", "0.2.12", &["error", "poll", "streams"], Everybody),
    offer("wasi:random", "0.2.12", &["random", "insecure", "insecure-seed"], Everybody),
    offer("wasi:sockets", "0.2.12", TCP, Empty(&["sockets"])),
    offer("wasi:sockets", "0.2.12", &["udp", "udp-create-socket"], Empty(&[])),
    offer("wasi:http", "0.2.12", &["types", "outgoing-handler"], HTTP),
    offer("wasi:cli", "0.3.0", &["types", "exit", "stdin", "stdout", "stderr"], Everybody),
    offer("wasi:cli", "0.3.0", &["environment"], Empty(&["env"])),
    offer("wasi:cli", "0.3.0", TERMINALS, Everybody),
    offer("wasi:clocks", "0.3.0", &["types", "monotonic-clock", "system-clock"], Everybody),
    offer("wasi:filesystem", "0.3.0", FILES, Empty(&["dirs", "scratch"])),
    offer("wasi:random", "0.3.0", &["random", "insecure", "insecure-seed"], Everybody),
    offer("wasi:sockets", "0.3.0", &["types", "ip-name-lookup"], Empty(&["sockets"])),
    offer("wasi:http", "0.3.0", &["types", "client"], HTTP),
    offer("wasi:keyvalue", "0.2.0-draft", &["store", "atomics", "batch"], KEYVALUE),
    offer("wasi:config", "0.2.0-rc.1", &["store"], CONFIG),
];

/// An import's name in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Import<'a> {
    pub(super) package: &'a str,
    pub(super) interface: &'a str,
    pub(super) version: &'a str,
}

impl<'a> Import<'a> {
    /// `None` for what is no interface of a package.
    pub(super) fn of(name: &'a str) -> Option<Self> {
        let (name, version) = name.split_once('@').unwrap_or((name, ""));
        let (package, interface) = name.split_once('/')?;
        package.contains(':').then_some(Self { package, interface, version })
    }

    /// What it takes to import it; `None` if nobody may.
    pub(super) fn access(&self) -> Option<Access> {
        let offer = OFFERS.iter().find(|offer| {
            offer.package == self.package
                && offer.interfaces.contains(&self.interface)
                && offer.serves(self.version)
        });
        offer.map(|offer| offer.access)
    }
}

impl Offer {
    /// True for a version whose track this is; of drafts only the very ones.
    pub(super) fn serves(&self, version: &str) -> bool {
        if self.version.contains('-') {
            return match self.package {
                "wasi:config" => version.starts_with("0.2.0"),
                _ => version.starts_with(self.version),
            };
        }
        let track = self.version.rfind('.').map_or(self.version, |dot| &self.version[..=dot]);
        // A draft of 0.3.0 is another interface than 0.3.0; of 0.2 there are none any more.
        version.starts_with(track) && !(track == "0.3." && version.contains('-'))
    }

    fn names(&self) -> impl Iterator<Item = String> {
        self.interfaces.iter().map(|name| format!("{}/{name}@{}", self.package, self.version))
    }
}

/// What to do about an import that nobody may have.
pub(super) fn instead(import: &str) -> String {
    let Some(Import { package, interface, version }) = Import::of(import) else {
        return format!(
            "`{import}` is a bare function; a component gets what it needs by interfaces of WASI or \
             of umbel:task"
        );
    };
    let of_package = || OFFERS.iter().filter(|offer| offer.package == package);
    let same: Vec<&Offer> =
        of_package().filter(|offer| offer.interfaces.contains(&interface)).collect();
    if !same.is_empty() {
        let known: Vec<String> =
            same.iter().map(|offer| format!("`{package}/{interface}@{}`", offer.version)).collect();
        let wrong = match version {
            "" => "names no version".to_owned(),
            version => format!("asks for version {version}"),
        };
        return format!("`{import}` {wrong}; this worker has {}", known.join(" and "));
    }
    let all: Vec<String> = of_package().flat_map(Offer::names).collect();
    if !all.is_empty() {
        return match nearest(import, &all) {
            Some(near) => format!("did you mean `{near}` by `{import}`?"),
            None => format!("of {package} this worker has {}", all.join(", ")),
        };
    }
    let every: Vec<String> = OFFERS.iter().flat_map(Offer::names).collect();
    match nearest(import, &every) {
        Some(near) => format!("did you mean `{near}` by `{import}`?"),
        None => "no plugin may import anything but WASI 0.2, WASI 0.3 and `umbel:task`; build it \
                 without the others"
            .to_owned(),
    }
}

/// The name that was probably meant: its version counts less than its words.
fn nearest<'a>(import: &str, names: &'a [String]) -> Option<&'a str> {
    let words = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let wanted = words(import);
    let (distance, name) = names
        .iter()
        .map(|name| {
            let track = common(import.rsplit('@').next(), name.rsplit('@').next());
            let distance = strsim::damerau_levenshtein(&wanted, &words(name));
            ((distance, usize::MAX - track), name)
        })
        .min_by_key(|(distance, _)| *distance)?;
    (distance.0 <= 2).then_some(name)
}

/// How many characters both begin with.
fn common(one: Option<&str>, other: Option<&str>) -> usize {
    let pairs = one.unwrap_or_default().chars().zip(other.unwrap_or_default().chars());
    pairs.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_track_are_served_and_drafts_are_not() {
        let check = |import: &str, expected: Option<Access>| {
            assert_eq!(Import::of(import).and_then(|import| import.access()), expected, "{import}");
        };
        check("wasi:clocks/monotonic-clock@0.2.0", Some(Everybody));
        check("wasi:clocks/monotonic-clock@0.2.99", Some(Everybody));
        check("wasi:clocks/monotonic-clock@0.3.0", Some(Everybody));
        check("wasi:clocks/monotonic-clock@0.3.0-rc-2025-09-16", None);
        check("wasi:clocks/wall-clock@0.3.0", None);
        check("wasi:clocks/monotonic-clock@1.0.0", None);
        check("wasi:clocks/monotonic-clock", None);
        check("wasi:http/client@0.3.0", Some(HTTP));
        check("wasi:http/outgoing-handler@0.2.6", Some(HTTP));
        check("wasi:http/outgoing-handler@0.3.0", None);
        check("wasi:keyvalue/store@0.2.0-draft2", Some(KEYVALUE));
        check("wasi:config/store@0.2.0-rc.1", Some(CONFIG));
        check("umbel:task/tasks@0.1.0", Some(SUBMIT));
        check("umbel:task/tasks@0.2.0", None);
        check("open", None);
    }

    #[test]
    fn what_was_probably_meant_is_named() {
        let check = |import: &str, part: &str| {
            let text = instead(import);
            assert!(text.contains(part), "no `{part}` in: {text}");
        };
        check("wasi:filesystem/type@0.2.6", "did you mean `wasi:filesystem/types@0.2.12`");
        check("wasi:filesytem/types@0.3.0", "did you mean `wasi:filesystem/types@0.3.0`");
        check(
            "wasi:http/outgoing-handler@1.0.0",
            "this worker has `wasi:http/outgoing-handler@0.2.12`",
        );
        check("wasi:io/poll", "names no version");
        check(
            "wasi:random/random@0.3.0-rc-1",
            "`wasi:random/random@0.2.12` and `wasi:random/random@0.3.0`",
        );
        check("wasi:http/incoming-handler@0.2.0", "of wasi:http this worker has");
        check("acme:vault/doors@1.0.0", "WASI 0.2, WASI 0.3 and `umbel:task`");
        check("open", "bare function");
    }
}
