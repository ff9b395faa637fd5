//! Ends what a test process leaves behind: shared servers live in statics, which are never dropped.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

// Reads until the test process is gone, however it ended, then kills what is still listed.
const SCRIPT: &str = r#"
groups=' '
folders=''
while read -r verb what; do
    case $verb in
        watch) groups="$groups$what " ;;
        forget) groups="${groups%%" $what "*} ${groups#*" $what "}" ;;
        remove) folders="$folders$what
" ;;
    esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
printf '%s' "$folders" | while read -r folder; do rm -rf -- "$folder"; done
"#;

/// Kills this process group when the test process ends.
pub(crate) fn watch(group: i32) {
    tell(&format!("watch {group}"));
}

/// The group has ended by itself: its number may belong to somebody else from now on.
pub(crate) fn forget(group: i32) {
    tell(&format!("forget {group}"));
}

/// Removes this folder when the test process ends, if it is still there.
pub(crate) fn remove(folder: &Path) {
    tell(&format!("remove {}", folder.display()));
}

#[expect(clippy::zombie_processes, reason = "it outlives this process by design")]
fn tell(line: &str) {
    static REAPER: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let reaper = REAPER.get_or_init(|| {
        let mut shell = Command::new("sh");
        // A group of its own, or Ctrl-C would end it together with the test.
        shell.args(["-c", SCRIPT]).stdin(Stdio::piped()).process_group(0);
        let mut child = shell.spawn().expect("a shell exists");
        Mutex::new(child.stdin.take().expect("its input is a pipe"))
    });
    let mut pipe = reaper.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(pipe, "{line}").expect("the reaper lives as long as we do");
}
