//! What an operator grants is there, and nothing beside it: folders, room, variables, settings,
//! sockets, time. Each run is an `umbel invoke` with the configuration of its test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;
use umbel_harness::{paths, worker};

/// A guest over WASI 0.2, and one that does the same over WASI 0.3.
const BOTH: [&str; 2] = ["reaches", "rushes"];

/// A folder with a configuration, and the folders `ro` and `rw` that it may grant.
struct Desk {
    folder: TempDir,
    guest: &'static str,
}

impl Desk {
    /// `allow` is what stands in the braces.
    fn granting(allow: &str) -> Desk {
        Desk::of("reaches", allow)
    }

    fn of(guest: &'static str, allow: &str) -> Desk {
        let folder = TempDir::with_prefix("umbel-granted-").expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["ro", "rw", "other"] {
            std::fs::create_dir(at(name)).expect("a temporary folder is writable");
        }
        let desk = Desk { folder, guest };
        desk.put("ro/note", "kept");
        desk.put("secret", "hidden");
        desk.put(
            "umbel.toml",
            &format!(
                "[limits]\ntime = \"60s\"\nsockets = 50\n[plugins.{guest}]\nallow = {{ {allow} }}\n"
            ),
        );
        desk
    }

    /// With two directories, one of them to write to, beside what every run needs.
    fn with_dirs(guest: &'static str) -> Desk {
        Desk::of(
            guest,
            "config = { color = \"blue\" }, scratch = \"4MiB\", dirs = [\
             { host = \"ro\", guest = \"/ro\" }, \
             { host = \"rw\", guest = \"/rw\", mode = \"rw\", quota = \"2MiB\" }]",
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a temporary folder is writable");
    }

    fn get(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn invoke(&self, task: &str, args: &[&str]) -> Output {
        let mut command = worker::command("invoke");
        command.arg("--config").arg(self.path("umbel.toml")).arg(paths::guest(self.guest));
        command.arg(task).args(args).current_dir(self.folder.path()).env("REGION", "eu");
        command.output().expect("the binary can be started")
    }

    /// What it gives, as printed.
    #[track_caller]
    fn gives(&self, task: &str, args: &[&str], expected: &str) {
        let output = self.invoke(task, args);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.trim(), expected, "{task}{args:?}: {}", text(&output));
        assert!(output.status.success(), "{task}{args:?}: {}", text(&output));
    }

    /// It ends as a failure that names a reason.
    #[track_caller]
    fn refuses(&self, task: &str, args: &[&str], reason: &str) {
        let output = self.invoke(task, args);
        let text = text(&output);
        assert!(!output.status.success(), "{task}{args:?}: {text}");
        assert!(text.contains("TaskError") && text.contains(reason), "{task}{args:?}: {text}");
    }
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn link(target: &Path, link: &Path) {
    std::os::unix::fs::symlink(target, link).expect("a temporary folder is writable");
}

#[test]
pub(crate) fn an_import_that_is_not_granted_names_the_line_that_would_allow_it() {
    let desk = Desk::granting("submit = [\"x\"]");
    let output = desk.invoke("setting", &["color"]);
    let text = text(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("`wasi:config/store@0.2.0-rc.1`"), "{text}");
    assert!(text.contains("[plugins.reaches] allow = { config = {"), "{text}");
}

#[test]
fn settings_and_variables_are_those_of_the_grant_alone() {
    let desk = Desk::granting("config = { color = \"blue\" }, env = [\"REGION\"]");
    desk.gives("setting", &["color"], "blue");
    desk.gives("setting", &["colour"], "null");
    desk.gives("variable", &["REGION"], "eu");
    desk.gives("variable", &["HOME"], "null");
    let desk = Desk::granting("config = { color = \"red\" }, env = { REGION = \"us\" }");
    desk.gives("variable", &["REGION"], "us");
}

#[test]
fn what_is_granted_is_shown() {
    let desk = Desk::with_dirs("reaches");
    let output = worker::command("check")
        .arg("--config")
        .arg(desk.path("umbel.toml"))
        .arg(paths::guest("reaches"))
        .current_dir(desk.folder.path())
        .output()
        .expect("the binary can be started");
    let text = text(&output);
    for part in ["granted dir:/ro(ro)", "granted dir:/rw(rw)", "granted scratch", "granted config"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("dir:/ro(ro) dir:/rw(rw) scratch config"), "beside the limits: {text}");
}

#[test]
fn a_folder_that_is_not_there_is_a_load_error() {
    let desk =
        Desk::granting("config = { a = \"b\" }, dirs = [{ host = \"gone\", guest = \"/x\" }]");
    let output = desk.invoke("setting", &["a"]);
    let text = text(&output);
    assert!(!output.status.success() && text.contains("gone, which is no directory"), "{text}");
}

#[test]
fn a_read_only_folder_is_read_and_not_changed() {
    for guest in BOTH {
        let desk = Desk::with_dirs(guest);
        desk.gives("read", &["/ro/note"], "kept");
        desk.refuses("write", &["/ro/note", "changed"], "");
        desk.refuses("append", &["/ro/note", "changed"], "");
        desk.refuses("stretch", &["/ro/note", "0"], "");
        desk.refuses("write", &["/ro/new", "x"], "");
        desk.refuses("remove", &["/ro/note"], "");
        desk.refuses("move-to", &["/ro/note", "/ro/other"], "");
        desk.refuses("hard-link", &["/ro/note", "/ro/other"], "");
        assert_eq!(desk.get("ro/note"), "kept");
    }
}

#[test]
fn no_path_leads_out_of_a_granted_folder() {
    for guest in BOTH {
        let desk = Desk::with_dirs(guest);
        link(&desk.path("secret"), &desk.path("rw/absolute"));
        link(Path::new("../secret"), &desk.path("rw/climbing"));
        link(Path::new("loop-b"), &desk.path("rw/loop-a"));
        link(Path::new("loop-a"), &desk.path("rw/loop-b"));
        link(Path::new(".."), &desk.path("rw/up"));
        let outside = desk.path("secret").display().to_string();
        for path in [
            "/rw/absolute",
            "/rw/climbing",
            "/rw/loop-a",
            "/rw/up/secret",
            "/rw/../secret",
            "/rw/./../secret",
            "/ro/../rw/../secret",
            "/secret",
            "secret",
            "../secret",
            "/etc/passwd",
            "/proc/self/environ",
            &outside,
        ] {
            desk.refuses("read", &[path], "");
            desk.refuses("write", &[path, "changed"], "");
        }
        assert_eq!(desk.get("secret"), "hidden");
    }
}

#[test]
fn nothing_is_moved_or_linked_from_one_grant_into_another() {
    for guest in BOTH {
        let desk = Desk::with_dirs(guest);
        desk.put("rw/mine", "text");
        desk.refuses("hard-link", &["/ro/note", "/rw/note"], "");
        desk.refuses("move-to", &["/ro/note", "/rw/note"], "");
        desk.refuses("move-to", &["/rw/mine", "/tmp/mine"], "");
        desk.refuses("hard-link", &["/rw/mine", "/tmp/mine"], "");
        desk.refuses("point", &["../secret", "/rw/pointer"], "");
        desk.refuses("point", &["/etc/passwd", "/rw/pointer"], "");
        desk.gives("move-to", &["/rw/mine", "/rw/moved"], "null");
        assert_eq!((desk.get("ro/note"), desk.get("rw/moved")), ("kept".into(), "text".into()));
        assert!(!desk.path("rw/pointer").is_symlink(), "a link for others to follow");
    }
}

#[test]
fn room_is_what_was_granted_and_no_more() {
    for guest in BOTH {
        let desk = Desk::with_dirs(guest);
        // Four less what the name itself takes.
        desk.gives("fill", &["/tmp/much", "100"], "3");
        desk.gives("fill", &["/rw/much", "100"], "1");
        let size = std::fs::metadata(desk.path("rw/much")).expect("it is there").len();
        assert!(size <= 2 << 20, "{size} bytes");
        desk.refuses("stretch", &["/tmp/hole", "17592186044416"], "space");
        desk.refuses("leap", &["/tmp/hole", "17592186044416"], "");
        desk.refuses("leap", &["/tmp/hole", "5000000"], "");
        // Removing gives nothing back: what was written counts.
        desk.gives("churn", &["/tmp/again", "1", "100"], "3");
        let littered = desk.invoke("litter", &["/tmp", "1000000"]);
        let count: u32 =
            String::from_utf8_lossy(&littered.stdout).trim().parse().unwrap_or(u32::MAX);
        assert!((100..=1024).contains(&count), "{count} files: {}", text(&littered));
    }
}

#[test]
fn the_runs_own_folder_is_empty_at_first_and_gone_afterwards() {
    for guest in BOTH {
        let desk = Desk::with_dirs(guest);
        let before = scratch_folders();
        desk.gives("write", &["/tmp/left", "behind"], "null");
        desk.refuses("read", &["/tmp/left"], "");
        assert_eq!(scratch_folders(), before);
    }
}

/// A thread for each of them, waiting for a reader, would soon be all there are.
#[test]
fn listings_that_nobody_reads_keep_nobody_waiting() {
    let desk = Desk::with_dirs("rushes");
    for name in ["a", "b", "c"] {
        desk.put(&format!("rw/{name}"), "");
    }
    desk.gives("list-folder", &["/ro"], "[\"note\"]");
    desk.refuses("list-folder", &["/none"], "");
    desk.gives("listings", &["/rw", "2000"], "2000");
}

#[test]
pub(crate) fn a_component_may_import_both_versions_under_one_grant() {
    let desk = Desk::with_dirs("rushes");
    let output = worker::command("check")
        .arg("--config")
        .arg(desk.path("umbel.toml"))
        .arg(paths::guest("rushes"))
        .current_dir(desk.folder.path())
        .output()
        .expect("the binary can be started");
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    let line = |import: &str| text.lines().find(|line| line.contains(import)).unwrap_or_default();
    for version in ["0.2.", "0.3."] {
        let files = line(&format!("imports wasi:filesystem@{version}"));
        assert!(files.ends_with("granted by `dirs`"), "{version}: {text}");
    }
    let sockets = line("imports wasi:sockets@0.3.");
    assert!(sockets.ends_with("nothing there without `sockets`"), "{text}");
    desk.gives("both", &["/rw/new", "one file"], "one file");
    desk.gives("fill-both", &["/tmp/much", "100"], "3");
}

/// What is written to the standard output through a stream has the limit of all output.
#[test]
fn output_over_streams_is_capped() {
    let desk = Desk::of("rushes", "env = []");
    let output = desk.invoke("say", &["1000000"]);
    let text = text(&output);
    assert!(text.contains("bytes of output dropped beyond the limit of 65536"), "{text}");
    assert!(text.matches("said x").count() < 1000, "{text}");
}

/// Those of this test's runs have ended; others may come and go.
fn scratch_folders() -> Vec<PathBuf> {
    let mine = |path: &PathBuf| path.join("left").exists();
    let entries = std::fs::read_dir(paths::cache().join("umbel")).into_iter().flatten();
    let ours = |path: &PathBuf| path.to_string_lossy().contains("umbel-scratch-");
    let plugins = entries.flatten().map(|entry| entry.path()).filter(ours);
    plugins.flat_map(std::fs::read_dir).flatten().flatten().map(|e| e.path()).filter(mine).collect()
}

#[test]
fn a_coarse_clock_tells_whole_steps() {
    let desk = Desk::granting("config = { a = \"b\" }, coarse-clock = \"1ms\"");
    let output = desk.invoke("steps", &["1000"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let times = printed.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
    let times: Vec<u64> = times.filter_map(|word| word.parse().ok()).collect();
    assert_eq!(times.len(), 1000, "{printed}");
    assert!(times.iter().all(|time| time % 1_000_000 == 0), "{printed}");
}

/// Answers each connection with what it said, in capitals, and remembers nothing.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        let mut held: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut said = [0; 6];
            let _ = stream.set_read_timeout(Some(std::time::Duration::from_millis(200)));
            if stream.read_exact(&mut said).is_ok() {
                let _ = stream.write_all(&said.map(|byte| byte.to_ascii_uppercase()));
            } else {
                held.push(stream);
            }
        }
    });
    port
}

#[test]
fn sockets_go_where_they_were_granted_and_nowhere_else() {
    for guest in BOTH {
        let (port, other) = (echo(), echo());
        let base = "config = { a = \"b\" }";
        let granted = |what: &str| Desk::of(guest, &format!("{base}, {what}"));
        let place = format!("127.0.0.1:{port}");
        let desk = granted(&format!("sockets = [\"tcp://{place}\"]"));
        desk.gives("dial", &[&place], "HELLO");
        desk.refuses("dial", &[&format!("127.0.0.1:{other}")], "");
        desk.refuses("dial", &[&format!("localhost:{port}")], "");
        desk.refuses("listen", &["127.0.0.1:0"], "");
        desk.refuses("listen", &["0.0.0.0:0"], "");
        // A name whose address is not public, unless the operator names the address too.
        let name = format!("localhost:{port}");
        granted(&format!("sockets = [\"tcp://{name}\"]")).refuses("dial", &[&name], "");
        let named =
            granted(&format!("sockets = [\"tcp://{name}\"], private = [\"127.0.0.0/8\", \"::1\"]"));
        named.gives("dial", &[&name], "HELLO");
        named.refuses("dial", &[&format!("localhost:{other}")], "");
        granted("env = []").refuses("dial", &[&place], "");
    }
}

#[test]
fn sockets_are_counted() {
    for guest in BOTH {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let place = listener.local_addr().expect("it is bound").to_string();
        let desk =
            Desk::of(guest, &format!("config = {{ a = \"b\" }}, sockets = [\"tcp://{place}\"]"));
        desk.gives("hold", &[&place, "10000"], "50");
    }
}

#[test]
fn what_goes_over_sockets_is_counted_and_limited() {
    for guest in BOTH {
        let place = format!("127.0.0.1:{}", echo());
        let granting = |limit: &str| {
            let allow = format!("config = {{ a = \"b\" }}, sockets = [\"tcp://{place}\"]");
            Desk::of(guest, &format!("{allow} }}\nlimits = {{ request-bytes = \"{limit}\""))
        };
        let enough = granting("12B");
        enough.gives("dial", &[&place], "HELLO");
        let bill = text(&enough.invoke("dial", &[&place]));
        let row = bill.lines().find(|line| line.contains("request-bytes")).unwrap_or_default();
        assert!(row.contains("12"), "{bill}");
        granting("11B").refuses("dial", &[&place], "");
        granting("5B").refuses("dial", &[&place], "");
    }
}
