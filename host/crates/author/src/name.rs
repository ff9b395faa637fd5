//! What a project is called, in the spelling of each place it appears in.

use std::fmt;

use crate::Problem;

/// A word in one of the languages, or in WIT: a package or a module could not be called so.
const RESERVED: &[&str] = &[
    "abstract",
    "and",
    "any",
    "as",
    "assert",
    "async",
    "await",
    "bool",
    "borrow",
    "box",
    "break",
    "case",
    "catch",
    "chan",
    "char",
    "class",
    "const",
    "constructor",
    "continue",
    "crate",
    "def",
    "default",
    "defer",
    "del",
    "delete",
    "do",
    "double",
    "elif",
    "else",
    "enum",
    "except",
    "export",
    "extends",
    "extern",
    "false",
    "final",
    "finally",
    "flags",
    "float",
    "fn",
    "for",
    "from",
    "func",
    "function",
    "future",
    "gen",
    "global",
    "go",
    "goto",
    "if",
    "impl",
    "implements",
    "import",
    "in",
    "include",
    "inline",
    "instanceof",
    "int",
    "interface",
    "is",
    "lambda",
    "let",
    "list",
    "long",
    "loop",
    "macro",
    "main",
    "map",
    "match",
    "mod",
    "move",
    "mut",
    "new",
    "none",
    "nonlocal",
    "not",
    "null",
    "option",
    "or",
    "override",
    "own",
    "package",
    "pass",
    "print",
    "priv",
    "private",
    "protected",
    "pub",
    "public",
    "raise",
    "range",
    "record",
    "ref",
    "register",
    "resource",
    "restrict",
    "result",
    "return",
    "select",
    "self",
    "short",
    "signed",
    "sizeof",
    "static",
    "std",
    "stream",
    "string",
    "struct",
    "super",
    "switch",
    "this",
    "throw",
    "trait",
    "true",
    "try",
    "tuple",
    "type",
    "typedef",
    "typeof",
    "union",
    "unsafe",
    "unsigned",
    "use",
    "var",
    "variant",
    "virtual",
    "void",
    "volatile",
    "where",
    "while",
    "with",
    "world",
    "yield",
    // What the projects themselves hold.
    "build",
    "exports",
    "imports",
    "plugin",
    "sdk",
    "task",
    "tasks",
    "test",
    "tests",
    "types",
    "umbel",
    "wit",
];

/// The longest name: it becomes part of file names and symbols.
const LONGEST: usize = 64;

/// A name that is fit to be a plugin's in every language: words of lower-case letters and digits,
/// with `-` or `_` between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    typed: String,
    words: Vec<String>,
}

impl Name {
    /// Takes a name, or says what is wrong with it and what would do.
    pub fn parse(text: &str) -> Result<Name, Problem> {
        let wrong = |why: &str| Problem::usage(format!("`{text}` is no name for a plugin: {why}"));
        if text.is_empty() || text.len() > LONGEST {
            return Err(wrong(&format!("it has 1 to {LONGEST} letters")));
        }
        let words: Vec<String> = text.split(['-', '_']).map(str::to_owned).collect();
        let plain = |word: &String| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        if !words.iter().all(plain) {
            let problem = wrong(
                "lower-case letters and digits, each word beginning with a letter, and `-` or `_` \
                 between words",
            );
            let proposal = propose(text);
            return Err(match Name::parse(&proposal) {
                Ok(_) if proposal != text => problem.help(format!("umbel new {proposal}")),
                _ => problem,
            });
        }
        let name = Name { typed: text.to_owned(), words };
        if RESERVED.contains(&name.snake().as_str()) {
            return Err(wrong("it means something else in one of the languages, or in WIT")
                .help(format!("say what it does, for example `{text}-tools`")));
        }
        Ok(name)
    }

    /// As it was typed: the project's folder.
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// `my_plugin`: files, modules, and the first part of the tasks' names.
    pub fn snake(&self) -> String {
        self.words.join("_")
    }

    /// `my-plugin`: packages of WIT, cargo and npm.
    pub fn kebab(&self) -> String {
        self.words.join("-")
    }

    /// `MyPlugin`: types.
    pub fn pascal(&self) -> String {
        let capital = |word: &String| {
            let (first, rest) = word.split_at(1);
            first.to_ascii_uppercase() + rest
        };
        self.words.iter().map(capital).collect()
    }

    /// The text with `NAME` (`my_plugin`), `KEBAB` (`my-plugin`) and `PASCAL` (`MyPlugin`) filled in.
    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("PASCAL", &self.pascal())
            .replace("KEBAB", &self.kebab())
            .replace("NAME", &self.snake())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.snake())
    }
}

/// The nearest thing to it that could be a name.
fn propose(text: &str) -> String {
    let mut proposal = String::new();
    let mut before = '-';
    for letter in text.chars() {
        if letter.is_ascii_uppercase() && before.is_ascii_lowercase() {
            proposal.push('-');
        }
        proposal.push(if letter.is_ascii_alphanumeric() {
            letter.to_ascii_lowercase()
        } else {
            '-'
        });
        before = letter;
    }
    let fit = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    proposal.split('-').filter(fit).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_spelling_for_each_place() {
        for (text, snake, kebab, pascal) in [
            ("thumbs", "thumbs", "thumbs", "Thumbs"),
            ("my-thumbs", "my_thumbs", "my-thumbs", "MyThumbs"),
            ("my_thumbs2", "my_thumbs2", "my-thumbs2", "MyThumbs2"),
        ] {
            let name = Name::parse(text).expect(text);
            assert_eq!(
                (name.snake(), name.kebab(), name.pascal()),
                (snake.into(), kebab.into(), pascal.into())
            );
        }
    }

    #[test]
    fn what_cannot_be_a_name_is_refused_with_a_proposal() {
        for (text, part) in [
            ("MyThumbs", "help: umbel new my-thumbs"),
            ("2thumbs", "lower-case"),
            ("thumbs.wasm", "help: umbel new thumbs-wasm"),
            ("a--b", "help: umbel new a-b"),
            ("../thumbs", "help: umbel new thumbs"),
            ("", "1 to 64"),
            ("größe", "lower-case"),
            ("class", "`class-tools`"),
        ] {
            let problem = Name::parse(text).expect_err(text);
            assert!(problem.is_usage());
            assert!(problem.to_string().contains(part), "{problem}");
        }
    }

    #[test]
    fn a_template_is_filled_in() {
        let name = Name::parse("my-thumbs").expect("a good name");
        assert_eq!(name.fill("example:KEBAB NAME.PASCAL"), "example:my-thumbs my_thumbs.MyThumbs");
    }
}
