//! Which queues an exchange delivers to, by kombu's binding tables. Pure.

use umbel_protocol::names;

/// The member that binds `queue` to the exchange of its name.
pub(super) fn own_binding(queue: &str) -> String {
    format!("{queue}{0}{0}{queue}", names::SEPARATOR)
}

/// The regular expression that kombu makes of a topic's key.
pub(super) fn topic_pattern(key: &str) -> String {
    let words = key.split('.').map(|word| match word {
        "#" => ".*?".to_owned(),
        "*" => r"[^\.]+".to_owned(),
        word => {
            let plain = |letter: &char| letter.is_alphanumeric() || *letter == '_';
            let escaped = |letter: char| match plain(&letter) {
                true => letter.to_string(),
                false => format!("\\{letter}"),
            };
            word.chars().map(escaped).collect()
        }
    });
    format!("^{}$", words.collect::<Vec<String>>().join(r"\."))
}

/// The queues of those members whose binding takes this key; each once, in the members' order.
pub(super) fn matching(members: &[String], routing_key: &str) -> Vec<String> {
    let mut queues: Vec<String> = Vec::new();
    for member in members {
        let mut fields = member.split(names::SEPARATOR);
        let (Some(key), Some(pattern), Some(queue)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        // Only topic exchanges have a pattern: the regular expression that kombu made of the key.
        let taken =
            if pattern.is_empty() { key == routing_key } else { topic_takes(key, routing_key) };
        if taken && !queue.is_empty() && !queues.iter().any(|known| known == queue) {
            queues.push(queue.to_owned());
        }
    }
    queues
}

/// kombu's idea of a topic, which is not AMQP's: `*` is one word, `#` is any text, and the dots
/// around it must be there.
fn topic_takes(binding: &str, routing_key: &str) -> bool {
    let key = routing_key.as_bytes();
    // Which prefixes of the key are taken by the words so far.
    let mut taken = vec![false; key.len() + 1];
    taken[0] = true;
    for (at, word) in binding.split('.').enumerate() {
        if at > 0 {
            taken = after(&taken, |from| key[from..].starts_with(b".").then_some(from + 1));
        }
        taken = match word {
            "#" => match taken.iter().position(|taken| *taken) {
                Some(first) => (0..=key.len()).map(|to| to >= first).collect(),
                None => return false,
            },
            "*" => one_word(&taken, key),
            word => after(&taken, |from| {
                key[from..].starts_with(word.as_bytes()).then_some(from + word.len())
            }),
        };
    }
    taken[key.len()]
}

fn after(taken: &[bool], step: impl Fn(usize) -> Option<usize>) -> Vec<bool> {
    let mut next = vec![false; taken.len()];
    for from in taken.iter().enumerate().filter(|(_, taken)| **taken).map(|(from, _)| from) {
        if let Some(to) = step(from) {
            next[to] = true;
        }
    }
    next
}

fn one_word(taken: &[bool], key: &[u8]) -> Vec<bool> {
    let mut next = vec![false; taken.len()];
    let mut inside = false;
    for (at, byte) in key.iter().enumerate() {
        inside = (inside || taken[at]) && *byte != b'.';
        next[at + 1] = inside;
    }
    next
}

#[cfg(test)]
mod tests {
    use super::{matching, own_binding, topic_pattern, topic_takes};

    const S: &str = "\u{6}\u{16}";

    #[test]
    fn topics_match_as_kombu_matches_them() {
        for (binding, takes, refuses) in [
            ("#", vec!["a", "a.b", "", "worker.heartbeat"], vec![]),
            ("*", vec!["a", "ab"], vec!["", "a.b", "."]),
            ("a", vec!["a"], vec!["a.b", "", "ab"]),
            ("a.*", vec!["a.b"], vec!["a", "a.", "a.b.c"]),
            ("a.#", vec!["a.b", "a.b.c", "a."], vec!["a", "b.a"]),
            ("#.a", vec!["b.a", "c.b.a", ".a"], vec!["a", "a.b"]),
            ("a.*.c", vec!["a.b.c"], vec!["a.c", "a..c", "a.b.b.c"]),
            ("a.#.c", vec!["a.b.c", "a..c", "a.b.b.c"], vec!["a.c"]),
            ("#.b.#", vec!["a.b.c", "a.b.b.c"], vec!["a.b", "b.c", "b"]),
            ("*.*", vec!["a.b"], vec!["a", "a.b.c"]),
            ("a.b+c", vec!["a.b+c"], vec!["a.bbc"]),
        ] {
            for key in takes {
                assert!(topic_takes(binding, key), "{binding} takes {key}");
            }
            for key in refuses {
                assert!(!topic_takes(binding, key), "{binding} refuses {key}");
            }
        }
    }

    #[test]
    fn a_direct_binding_takes_its_key_alone() {
        let members = [
            own_binding("celery"),
            format!("k{S}{S}first"),
            format!("k{S}{S}second"),
            format!("k{S}{S}first"),
            "rubbish".to_owned(),
            format!("k{S}{S}"),
        ];
        assert_eq!(matching(&members, "celery"), ["celery"]);
        assert_eq!(matching(&members, "k"), ["first", "second"]);
        assert!(matching(&members, "celery.x").is_empty());
    }

    #[test]
    fn a_topics_pattern_is_written_as_kombu_writes_it() {
        for (key, expected) in
            [("#", "^.*?$"), ("a.*", r"^a\.[^\.]+$"), ("#.a", r"^.*?\.a$"), ("x-y.z", r"^x\-y\.z$")]
        {
            assert_eq!(topic_pattern(key), expected, "{key}");
        }
    }

    #[test]
    fn a_binding_with_a_pattern_is_a_topic() {
        let members = [format!("a.#{S}^a\\..*?${S}q"), format!("b{S}^b${S}r")];
        assert_eq!(matching(&members, "a.x.y"), ["q"]);
        assert_eq!(matching(&members, "b"), ["r"]);
        assert!(matching(&members, "a").is_empty());
    }
}
