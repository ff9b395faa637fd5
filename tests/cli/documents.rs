//! What shells and `man` are told of the command line.

use std::fs;
use std::process::Command;

use umbel_harness::worker;

use crate::{folder, umbel};

fn script(shell: &str) -> String {
    let output = worker::run("completions", &[shell]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("scripts are text")
}

#[test]
fn bash_completes_commands_and_options() {
    let folder = folder("");
    let file = folder.path().join("umbel.bash");
    fs::write(&file, script("bash")).expect("a temporary folder is writable");
    let bash = |args: &[&str]| {
        let output = Command::new("bash").args(["--norc", "--noprofile"]).args(args).output();
        let output = output.expect("bash is there");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && errors.is_empty(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).expect("bash writes text")
    };
    let file = file.display().to_string();
    bash(&["-n", &file]);
    for (words, completed) in [
        ("umbel wor", "worker"),
        ("umbel dead-letter li", "list"),
        ("umbel worker --concurr", "--concurrency"),
        ("umbel worker --otlp", "--otlp-endpoint"),
        ("umbel completions el", "elvish"),
    ] {
        let last = words.split(' ').count() - 1;
        let complete = format!(
            "source {file:?}; COMP_WORDS=({words}); COMP_CWORD={last}
             _umbel umbel \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"
             echo \"${{COMPREPLY[*]}}\"",
            last - 1
        );
        assert_eq!(bash(&["-c", &complete]).trim(), completed, "{words}");
    }
}

#[test]
fn every_shell_is_told_of_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = script(shell);
        for command in ["worker", "invoke", "dead-letter", "--broker"] {
            let short = command.trim_start_matches('-');
            assert!(script.contains(short), "{shell} is not told of {command}");
        }
    }
    umbel(folder("").path(), &["completions", "tcsh"]).refused(2, &["tcsh", "elvish"]);
}

#[test]
fn the_pages_of_the_manual_are_shown_without_a_warning() {
    let folder = folder("");
    umbel(folder.path(), &["man", "pages/man1"]).said(&["pages in pages/man1"]);
    let pages = fs::read_dir(folder.path().join("pages/man1")).expect("it was made");
    let mut names = Vec::new();
    for page in pages {
        let page = page.expect("it can be listed").path();
        let mut man = Command::new("man");
        man.arg("--warnings").arg("-l").arg(&page);
        man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80").env("MANPAGER", "cat");
        let output = man.output().expect("man is there");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{}: {errors}", page.display());
        let name = page.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.expect("a file has a name");
        let title = name.trim_end_matches(".1").to_owned();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("SYNOPSIS") && text.contains(&title), "{text}");
        names.push(name);
    }
    for name in ["umbel.1", "umbel-worker.1", "umbel-dead-letter-list.1", "umbel-man.1"] {
        assert!(names.iter().any(|page| page == name), "{name} in {names:?}");
    }
}

#[test]
fn they_are_written_even_if_the_configuration_is_wrong() {
    let folder = folder("nonsense = [");
    umbel(folder.path(), &["completions", "fish"]).said(&["umbel"]);
    umbel(folder.path(), &["man", "pages"]).said(&["pages in pages"]);
}
