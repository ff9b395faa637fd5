//! The file that tells others our process id.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

use crate::fault::Fault;
use crate::privileges::{Account, give};

/// Written on creation, removed when dropped.
#[derive(Debug)]
pub(crate) struct Pidfile {
    path: PathBuf,
}

impl Pidfile {
    /// Writes our id; refuses if the process that the file names lives. Handed over to `account`.
    pub(crate) fn write(path: &Path, account: Option<&Account>) -> Result<Pidfile, Fault> {
        let shown = path.display();
        if let Some(pid) = living_owner(path) {
            let what = format!("pidfile {shown} already exists and process {pid} lives");
            return Err(Fault::failure(what).help("is this worker running already?"));
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Fault::failure(format!("cannot replace pidfile {shown}: {error}")));
            }
            _ => {}
        }
        let written = fs::File::create_new(path)
            .and_then(|mut file| writeln!(file, "{}", std::process::id()))
            .and_then(|()| account.map_or(Ok(()), |account| give(path, account)));
        match written {
            Ok(()) => Ok(Pidfile { path: path.to_owned() }),
            Err(error) => Err(Fault::failure(format!("cannot write pidfile {shown}: {error}"))),
        }
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // After dropping privileges the folder may not be ours: an empty file is a stale one, too.
        if fs::remove_file(&self.path).is_err() {
            let _ = fs::write(&self.path, "");
        }
    }
}

fn living_owner(path: &Path) -> Option<i32> {
    let pid: i32 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    let process = Pid::from_raw(pid).filter(|_| pid > 0)?;
    match test_kill_process(process) {
        // Alive, if not ours.
        Ok(()) | Err(rustix::io::Errno::PERM) if pid != std::process::id() as i32 => Some(pid),
        _ => None,
    }
}
