//! The lines that `MONITOR` shows.

use serde_json::Value;

/// One command, as the server carried it out.
pub(crate) struct Line<'a> {
    /// The address it came from, or `lua`.
    pub(crate) client: &'a str,
    pub(crate) words: Vec<String>,
}

impl<'a> Line<'a> {
    /// `<seconds> [<database> <client>] "<word>" "<word>" …`
    pub(crate) fn parse(text: &'a str) -> Option<Line<'a>> {
        let (_, rest) = text.split_once(" [")?;
        let (client, rest) = rest.split_once("] ")?;
        let (_, client) = client.split_once(' ')?;
        Some(Line { client, words: words(rest) })
    }

    /// A script's commands follow the line that calls it.
    pub(crate) fn is_of_a_script(&self) -> bool {
        self.client == "lua"
    }
}

fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut letters = text.chars();
    while letters.by_ref().any(|letter| letter == '"') {
        let mut word = String::new();
        loop {
            match letters.next() {
                None | Some('"') => break,
                Some('\\') => word.extend(escaped(&mut letters)),
                Some(letter) => word.push(letter),
            }
        }
        found.push(word);
    }
    found
}

/// Bytes beyond ASCII come as bytes; nobody here looks at them.
fn escaped(letters: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match letters.next()? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'a' => '\x07',
        'b' => '\x08',
        'x' => {
            let digits: String = letters.by_ref().take(2).collect();
            char::from(u8::from_str_radix(&digits, 16).ok()?)
        }
        other => other,
    })
}

/// The task's id in a message, be it kombu's envelope or a note of an unacknowledged one.
pub(crate) fn written_id(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let envelope = value.get(0).unwrap_or(&value);
    Some(envelope["headers"]["id"].as_str()?.to_owned())
}

#[test]
fn a_line_is_read_as_the_client_wrote_it() {
    let line = Line::parse(
        r#"1795275864.932658 [0 127.0.0.1:35750] "HSET" "a\x06\x163" "[{\"headers\": {\"id\": \"t1\"}}, \"x\\n\\\"\"]""#,
    );
    let line = line.expect("a line");
    assert_eq!(line.client, "127.0.0.1:35750");
    assert_eq!(line.words[..2], ["HSET", "a\x06\x163"]);
    assert_eq!(line.words[2], r#"[{"headers": {"id": "t1"}}, "x\n\""]"#);
    assert_eq!(written_id(&line.words[2]).as_deref(), Some("t1"));
    assert!(Line::parse("OK").is_none());
}
