//! The README and the guides in `docs/`, as a reader follows them: files are written, commands are typed in order, and
//! what is printed is compared with what the page shows. Pages that need compilers of languages are followed by
//! `make test-languages`.

mod page;
mod printed;
mod reader;

use std::fs;

use libtest_mimic::{Arguments, Failed, Trial};
use umbel_harness::paths;

use self::page::Block;
use self::reader::Reader;

/// Languages whose tools are on every machine that runs the tests.
const AT_HAND: [&str; 2] = ["javascript", "typescript"];

#[expect(clippy::print_stdout, reason = "what nobody types is named with the results")]
fn main() {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("each_page_is_in_the_book", book)];
    let mut left_out = Vec::new();
    for (name, text) in pages() {
        let blocks = page::blocks(&text);
        let reasons = blocks.iter().filter_map(|block| Some((block.line, block.mark("no_run")?)));
        left_out.extend(
            reasons.map(|(line, why)| format!("  {name}:{line}: {}", why.replace('-', " "))),
        );
        let ignored = !languages(&blocks).iter().all(|language| is_here(language));
        let trial = Trial::test(name.clone(), move || follow(&name, &blocks));
        trials.push(trial.with_ignored_flag(ignored));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    println!("blocks of commands that are not run: {}\n{}", left_out.len(), left_out.join("\n"));
    conclusion.exit();
}

/// Names, as people say them, and texts.
fn pages() -> Vec<(String, String)> {
    let root = paths::workspace();
    let mut names = vec!["README.md".to_owned()];
    let entries = fs::read_dir(root.join("docs")).expect("the guides lie there").flatten();
    let guides = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.extend(guides.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")));
    names.sort();
    let text = |name: &String| fs::read_to_string(root.join(name)).expect("it is text");
    names.into_iter().map(|name| (name.clone(), text(&name))).collect()
}

/// Those of which a page makes projects.
fn languages(blocks: &[Block]) -> Vec<String> {
    let typed = blocks.iter().flat_map(Block::typed);
    let named = typed.filter_map(|typed| {
        let (_, rest) = typed.command.split_once("--lang ")?;
        rest.split_whitespace().next().map(str::to_owned)
    });
    named.collect()
}

fn is_here(language: &str) -> bool {
    AT_HAND.contains(&language) || paths::languages().iter().any(|one| one == language)
}

fn follow(name: &str, blocks: &[Block]) -> Result<(), Failed> {
    let mut reader = Reader::of(name)?;
    let run = |block: &&Block| block.mark("no_run").is_none();
    blocks.iter().filter(run).try_for_each(|block| reader.follow(block)).map_err(Failed::from)
}

/// A page that the table of contents lacks is not in the book.
fn book() -> Result<(), Failed> {
    let contents = fs::read_to_string(paths::workspace().join("docs/SUMMARY.md"))?;
    for (name, _) in pages() {
        let Some(name) = name.strip_prefix("docs/").filter(|name| *name != "SUMMARY.md") else {
            continue;
        };
        if !contents.contains(&format!("]({name})")) {
            return Err(format!("docs/SUMMARY.md does not have {name}").into());
        }
    }
    Ok(())
}
