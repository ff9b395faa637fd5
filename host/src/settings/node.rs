//! Node names as Celery builds them: `name@host`, with `%h`, `%n` and `%d`.

/// This machine's name.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The node's full name: `w1@%h` expanded; a name without `@` is the host's part.
pub(super) fn name(pattern: &str, host: &str) -> Result<String, String> {
    let (own, at) = match pattern.split_once('@') {
        Some((own, at)) => (own, at),
        None => ("", pattern),
    };
    let own = if own.is_empty() { "celery" } else { own };
    let at = if at.is_empty() { "%h" } else { at };
    let (short, domain) = host.split_once('.').unwrap_or((host, ""));
    let full = fill(&format!("{own}@{at}"), host, short, domain)?;
    match full.contains(char::is_whitespace) {
        true => Err(format!("`{full}` holds white space")),
        false => Ok(full),
    }
}

/// Expands a path as Celery's `--pidfile`: `%h` is the node's full name, `%n` what stands before
/// its `@`, `%d` what follows it.
pub(super) fn expand(text: &str, node: &str) -> Result<String, String> {
    let (own, host) = node.split_once('@').unwrap_or((node, ""));
    fill(text, node, own, host)
}

fn fill(text: &str, host: &str, own: &str, domain: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('h') => out += host,
            Some('n') => out += own,
            Some('d') => out += domain,
            // Celery numbers its child processes here; there are none.
            Some('i' | 'I') => out += "0",
            Some('%') => out.push('%'),
            Some(other) => {
                return Err(format!("`%{other}` is not known: use %h, %n, %d, or %% for a `%`"));
            }
            None => return Err("ends with a single `%`: write %% for a `%`".into()),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_are_built_as_celery_builds_them() {
        for (pattern, expected) in [
            ("celery@%h", Ok("celery@lab.example.com")),
            ("w1@%h", Ok("w1@lab.example.com")),
            ("w1@%n", Ok("w1@lab")),
            ("w1@%d", Ok("w1@example.com")),
            ("w1@", Ok("w1@lab.example.com")),
            ("other", Ok("celery@other")),
            ("w%%@x", Ok("w%@x")),
            ("w@%z", Err("`%z` is not known: use %h, %n, %d, or %% for a `%`")),
            ("w@%", Err("ends with a single `%`: write %% for a `%`")),
            ("w 1@x", Err("`w 1@x` holds white space")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(name(pattern, "lab.example.com"), expected, "{pattern}");
        }
        assert_eq!(expand("/run/%n-%h-%d", "w1@lab"), Ok("/run/w1-w1@lab-lab".into()));
    }
}
