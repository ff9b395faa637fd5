//! What the compiler says of modules that cannot be tasks: each file of `mistakes` is compiled, and
//! what comes out compared with the file beside it. `BLESS=1` writes what comes out.

#![expect(clippy::unwrap_used, reason = "a test that cannot read or run what it needs has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the test was built, and with it the library.
fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    test.parent().expect("it lies in a folder").to_path_buf()
}

/// The library that was built last: earlier ones may lie beside it.
fn library(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let ours = files.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libumbel-") && name.ends_with(".rlib")
    });
    ours.max_by_key(|path| fs::metadata(path).and_then(|data| data.modified()).unwrap())
        .expect("the library is built before its tests")
}

/// What the compiler says of a file.
fn said(file: &Path, folder: &Path) -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args([
            "-A",
            "warnings",
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
            "--out-dir",
        ])
        .arg(std::env::temp_dir())
        .arg("-L")
        .arg(format!("dependency={}", folder.display()))
        .arg("--extern")
        .arg(format!("umbel={}", library(folder).display()))
        .arg(file.file_name().unwrap())
        .current_dir(file.parent().unwrap())
        .output()
        .unwrap();
    assert!(!output.status.success(), "{} compiles", file.display());
    errors(&String::from_utf8(output.stderr).unwrap())
}

/// What is said of each mistake, without what differs between compilers: notes, and the number of all.
fn errors(said: &str) -> String {
    let paragraphs = said.split("\n\n").filter(|paragraph| {
        paragraph.starts_with("error") && !paragraph.starts_with("error: aborting")
    });
    let note =
        |line: &&str| !["help: ", "note: ", "   = "].iter().any(|start| line.starts_with(start));
    let cut = paragraphs.map(|paragraph| {
        let lines: Vec<_> = paragraph.lines().take_while(note).collect();
        lines.join("\n")
    });
    cut.collect::<Vec<_>>().join("\n\n") + "\n"
}

#[test]
fn each_mistake_is_told_where_it_is_and_how_to_mend_it() {
    let folder = built();
    let mistakes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let mut files: Vec<_> =
        fs::read_dir(mistakes).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let expected = file.with_extension("stderr");
        let said = said(&file, &folder);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &said).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "said otherwise (BLESS=1 takes it):\n{}", wrong.join("\n"));
}
