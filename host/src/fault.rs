//! What went wrong, for people: `error: …`, `help: …`, an exit code, and never a password.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use umbel_transport::broker::BrokerError;
use umbel_transport::results::StoreError;

use crate::settings::variable;

/// Exit codes, as `umbel --help` documents them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The task failed, or anything else did.
    Failure = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Broker or result backend cannot be reached or refuse us (Celery's `EX_UNAVAILABLE`).
    Unavailable = 69,
    /// The result is not there yet.
    NotYet = 75,
    /// Root without `--uid` or `--allow-root`, or a user that cannot be taken on.
    Permission = 77,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

/// An error that knows its way out and its exit code. Further lines of help may follow the text of
/// any error, each starting with `help: `.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) help: Option<String>,
    pub(crate) code: Code,
}

impl Fault {
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self { what: what.into(), help: None, code }
    }

    pub(crate) fn failure(what: impl Into<String>) -> Self {
        Self::new(Code::Failure, what)
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Code::Usage, what)
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

/// Prints the error once, to stderr; gives the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let mut stderr = std::io::stderr();
    let text = render(error);
    let text = match stderr.is_terminal() && !no_colour() {
        true => text.replacen("error:", "\x1b[1;31merror:\x1b[0m", 1),
        false => text,
    };
    // Nobody is left to be told.
    let _ = stderr.write_all(text.as_bytes());
    code(error).into()
}

/// True if the user wants none (<https://no-color.org>).
pub(crate) fn no_colour() -> bool {
    variable("NO_COLOR").is_some()
}

/// The whole chain in one `error:` line, then each piece of help.
pub(crate) fn render(error: &anyhow::Error) -> String {
    let mut whats: Vec<String> = Vec::new();
    let mut helps: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let mut what = Vec::new();
        let mut in_help = false;
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("help: ") {
                helps.push(help.to_owned());
                in_help = true;
            } else if in_help {
                let last = helps.last_mut().expect("a help line came before");
                *last += "\n      ";
                *last += line.trim();
            } else {
                what.push(line);
            }
        }
        let what = what.join("\n  ");
        // Libraries like to repeat their cause in their own text.
        if !what.is_empty() && !whats.iter().any(|earlier| earlier.contains(&what)) {
            whats.push(what);
        }
    }
    helps.extend(proposal(error));
    helps.dedup();
    let mut text = format!("error: {}\n", whats.join(": "));
    for help in helps {
        text += &format!("help: {help}\n");
    }
    redact(&text)
}

/// The way out of what a broker or store says, where the error itself has none.
fn proposal(error: &anyhow::Error) -> Option<String> {
    if error.chain().any(|cause| cause.to_string().contains("\nhelp: ")) {
        return None;
    }
    let unreachable =
        "is the server running, and is the address right? See `umbel worker --show-config`";
    let refused = "check user, password and virtual host or database; inside a URL, write `@` in a \
                   password as `%40`, `/` as `%2F`";
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<BrokerError>() {
            return match error {
                BrokerError::Unreachable { .. } => Some(unreachable.to_owned()),
                BrokerError::Refused { .. } => Some(refused.to_owned()),
                BrokerError::Conflict { name, .. } => Some(format!(
                    "say in `queues` how it exists: {{ name = \"{name}\", type = …, arguments = … }}; \
                     or take from it as it is, with --accept-existing; or delete it on the broker \
                     once it is empty"
                )),
                _ => None,
            };
        }
        match cause.downcast_ref::<StoreError>()? {
            StoreError::Unreachable { .. } => Some(unreachable.to_owned()),
            StoreError::Refused { .. } => Some(refused.to_owned()),
            _ => None,
        }
    })
}

fn code(error: &anyhow::Error) -> Code {
    for cause in error.chain() {
        if let Some(fault) = cause.downcast_ref::<Fault>() {
            return fault.code;
        }
        if let Some(BrokerError::Unsupported(_)) = cause.downcast_ref() {
            return Code::Failure;
        }
        if cause.is::<BrokerError>() || cause.is::<StoreError>() {
            return Code::Unavailable;
        }
    }
    Code::Failure
}

/// Masks the password of every URL in a text: the last line of defence, for texts of others.
pub(crate) fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out += before;
        let end = after.find([' ', '\n', '\t', '\'', '"', '`', '<', '>']).unwrap_or(after.len());
        let url = &after[..end];
        match url.rfind('@').map(|at| (&url[..at], &url[at..])) {
            Some((login, server)) => {
                match login.split_once(':') {
                    Some((user, _)) => {
                        out += user;
                        out += ":**";
                    }
                    None => out += login,
                }
                out += &without_secrets(server);
            }
            None => out += &without_secrets(url),
        }
        rest = &after[end..];
    }
    out + rest
}

/// Masks what a query says under a name with `password` in it.
fn without_secrets(url: &str) -> String {
    let Some((server, query)) = url.split_once('?') else { return url.to_owned() };
    let parts = query.split_inclusive(['&', ';']).map(|pair| {
        let end = if pair.ends_with(['&', ';']) { pair.len() - 1 } else { pair.len() };
        match pair[..end].split_once('=') {
            Some((name, _)) if name.to_ascii_lowercase().contains("password") => {
                format!("{name}=**{}", &pair[end..])
            }
            _ => pair.to_owned(),
        }
    });
    format!("{server}?{}", parts.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_in_the_texts_of_others() {
        for (text, masked) in [
            ("cannot reach amqp://u:secret@h:5672//", "cannot reach amqp://u:**@h:5672//"),
            ("'redis://:p@ss@h:1/0' and 'amqp://h'", "'redis://:**@h:1/0' and 'amqp://h'"),
            ("sqlite://umbel.db", "sqlite://umbel.db"),
            ("amqp://a:se/cret@host", "amqp://a:**@host"),
            ("nothing", "nothing"),
            ("amqp://a:p@one;amqp://b:q@two/v", "amqp://a:**@two/v"),
            (
                "sentinel://h/0?master_name=m&sentinel_password=secret&x=1",
                "sentinel://h/0?master_name=m&sentinel_password=**&x=1",
            ),
            ("redis://:p@h?password=secret", "redis://:**@h?password=**"),
            ("http://h/?q=1&r=2", "http://h/?q=1&r=2"),
        ] {
            assert_eq!(redact(text), masked);
        }
    }

    #[test]
    fn help_comes_after_the_whole_chain() {
        let error = anyhow::Error::new(Fault::usage("bad broker").help("write amqp://"))
            .context("umbel.toml:3");
        assert_eq!(render(&error), "error: umbel.toml:3: bad broker\nhelp: write amqp://\n");
        assert_eq!(code(&error), Code::Usage);
    }
}
