//! One probe in two languages: what their helpers make of each shape of types and of each ending, in a component.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use umbel_harness::{paths, worker};

use crate::{ended, installed, node_modules, succeed};

/// A probe that was built, and a configuration that lets it send.
struct Probe {
    home: TempDir,
    component: PathBuf,
}

impl Probe {
    fn build(language: &str, tools: &Path, place: &str) -> Probe {
        let home = TempDir::new().expect("a temporary folder can be made");
        let folder = home.path().join("probe");
        let sources = paths::tests().join("sdk/probe");
        fs::create_dir_all(folder.join("wit/deps/umbel-task")).expect("folders can be made");
        let files = fs::read_dir(sources.join(language)).expect("the probe's sources are there");
        let files = files.map(|file| file.expect("it can be read").path());
        let copies =
            files.map(|file| (file.clone(), folder.join(file.file_name().expect("a name"))));
        let wit = [
            (sources.join("probe.wit"), folder.join("wit/probe.wit")),
            (paths::workspace().join("wit/task.wit"), folder.join("wit/deps/umbel-task/task.wit")),
        ];
        for (from, to) in copies.filter(|(from, _)| from.is_file()).chain(wit) {
            fs::copy(from, to).expect("a file can be copied");
        }
        symlink(tools, folder.join(place)).expect("a link can be made");
        let config = "[plugins.probe]\nallow = { submit = [\"mail.*\"] }\n";
        fs::write(home.path().join("umbel.toml"), config).expect("a file can be written");
        let component = home.path().join("probe.wasm");
        let mut build = worker::command("build");
        build.arg(&folder).arg("--output").arg(&component).current_dir(home.path());
        succeed("umbel build", build);
        Probe { home, component }
    }

    /// Calls a task; all that was said must have these parts.
    #[track_caller]
    fn check(&self, task: &str, args: &str, parts: &[&str]) {
        let mut invoke = worker::command("invoke");
        invoke.arg("--cache").arg(paths::cache()).arg(&self.component).args([task, args]);
        invoke.current_dir(self.home.path());
        let (_, said) = ended("umbel invoke", invoke);
        for part in parts {
            assert!(said.contains(part), "{task} {args}: no `{part}` in:\n{said}");
        }
    }
}

fn what_it_does(probe: &Probe, line: &str) {
    let value = r#"{"a":[1,2.5,null,true,"ü"],"b":{"__type__":"bytes","__value__":"x"}}"#;
    probe.check("echo", &format!("[{value}]"), &[r#"{"a":[1,2.5,null,true,"ü"],"b":{"__type__":"#]);
    let numbers = r#"[9007199254740991,-9007199254740991,4294967295,-2147483648,0.5,"abc"]"#;
    let echoed = numbers.strip_suffix(r#""abc"]"#).expect("it ends so");
    probe.check("numbers", numbers, &[echoed, "abc"]);
    let shapes = r#"["light-green",["can-write"],"#;
    probe.check("colors", r#"["red",["can-read"],{"circle":2}]"#, &[shapes, r#""nothing"]"#]);
    probe.check(
        "colors",
        r#"["red",["can-read"],{"circle":1.5}]"#,
        &[shapes, r#"{"circle":1.5}]"#],
    );
    let extra = r#""bytes":null,"extra":[{"__type__":"base64","__value__":"/w=="},null]}"#;
    probe.check("measure", r#"["a\nb"]"#, &[r#"{"lines":6,"#, extra]);
    probe.check("measure", r#"["a\nb", 1]"#, &[r#"{"lines":2,"#]);
    probe.check("tell", "[]", &["[0,[],null,false,true]", r#"[PROGRESS] {"done":1}"#, line]);
}

fn how_it_ends(probe: &Probe) {
    let wrong = "measure() returned what its WIT does not allow: .lines is -1, not a u32";
    probe.check("measure", r#"["wrong"]"#, &["TypeError: ", wrong]);
    for (how, said) in [
        ("retry", "in 1.5s, 2 times at most: ConnectionError: no net"),
        ("reject", "Reject: requeue=true"),
        ("ignore", "Ignore: "),
        ("failure", r#"NotFound: ("nobody", [1])"#),
        ("builtin", "LookupError: no such row"),
        ("well", "well"),
    ] {
        probe.check("ending", &format!("[{how:?}]"), &[said]);
    }
    probe.check("text-ending", r#"["builtin"]"#, &["TaskError: LookupError: no such row"]);
    probe.check("send", r#"["mail.send"]"#, &[r#"mail.send [1] {"a":2}"#]);
    probe.check("send", r#"["other.send"]"#, &["PermissionError: "]);
}

#[test]
fn a_python_component_takes_gives_and_ends_as_its_code_says() {
    let probe = Probe::build("python", &installed("venv-build"), ".venv");
    what_it_does(&probe, r#"[warning] 2 left {"size":3,"logger":"probe"}"#);
    how_it_ends(&probe);
}

#[test]
fn a_javascript_component_takes_gives_and_ends_as_its_code_says() {
    let probe = Probe::build("javascript", &node_modules(), "node_modules");
    what_it_does(&probe, "[warning] 2 left");
    how_it_ends(&probe);
}
