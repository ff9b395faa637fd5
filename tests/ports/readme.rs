//! What a README says to Python, to a worker and to a shell.

use umbel_harness::paths;

/// The blocks of a README, with words replaced that stand for a machine of the reader's.
pub(crate) struct Readme {
    /// The task that was there before.
    pub(crate) task: String,
    /// What calls it.
    pub(crate) caller: String,
    /// Lines for `umbel.toml`, if any are needed.
    pub(crate) config: String,
    /// What is typed to try it.
    pub(crate) invocations: Vec<Invocation>,
}

/// A line that is typed, and what it prints among other things.
pub(crate) struct Invocation {
    pub(crate) line: String,
    pub(crate) prints: String,
}

impl Readme {
    /// The README of a plugin. Each replacement must be of something that stands there.
    pub(crate) fn of(plugin: &str, replacements: &[(&str, &str)]) -> Readme {
        let file = paths::workspace().join("plugins").join(plugin).join("README.md");
        let mut text = std::fs::read_to_string(&file).expect("each port has a README");
        for (word, by) in replacements {
            assert!(text.contains(word), "no {word} in {}", file.display());
            text = text.replace(word, by);
        }
        let mut python = blocks(&text, "python").into_iter();
        let mut next = || python.next().expect("the task in Python, then its caller");
        let (task, caller) = (next(), next());
        let shell = blocks(&text, "sh").concat();
        let typed = shell.lines().filter(|line| line.starts_with("umbel invoke "));
        let invocations: Vec<Invocation> = typed.map(invocation).collect();
        assert!(!invocations.is_empty(), "{} says how to try it", file.display());
        Readme { task, caller, config: blocks(&text, "toml").concat(), invocations }
    }
}

fn invocation(line: &str) -> Invocation {
    let (line, prints) = line.split_once(" # ").unwrap_or((line, ""));
    Invocation { line: line.to_owned(), prints: prints.to_owned() }
}

/// The contents of the blocks of this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("\n```{language}\n");
    let pieces = text.split(&opening).skip(1);
    pieces.map(|piece| piece.split("```").next().unwrap_or(piece).to_owned()).collect()
}
