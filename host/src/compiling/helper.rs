//! The helper: starts a child for each order and waits for it. Never looks into a component.

use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{CHILD, Ending, HANDLES, LONGEST_ORDER, Order, program};

/// Takes orders from its standard input until the worker has gone.
pub(super) fn run() -> ExitCode {
    // The guard has confined us. Without it, orders are carried out all the same.
    let orders = io::stdin();
    loop {
        match receive(&orders) {
            Ok(Some((order, handles))) => {
                let carried_out = thread::Builder::new().spawn(move || carry_out(&order, handles));
                if carried_out.is_err() {
                    // The answer's socket is closed by now: the worker hears that it got none.
                    continue;
                }
            }
            Ok(None) => return ExitCode::SUCCESS,
            Err(Errno::INTR) => {}
            Err(_) => return ExitCode::FAILURE,
        }
    }
}

/// The next order with its handles; `None` when there will be no more.
fn receive(orders: impl AsFd) -> Result<Option<(Order, [OwnedFd; HANDLES])>, Errno> {
    let mut text = vec![0; LONGEST_ORDER];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDLES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(orders, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let handles: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(handles) => Some(handles),
            _ => None,
        })
        .flatten()
        .collect();
    let handles = handles.try_into().map_err(|_| Errno::PROTO)?;
    let order = serde_json::from_slice(&text[..received.bytes]).map_err(|_| Errno::PROTO)?;
    Ok(Some((order, handles)))
}

fn carry_out(order: &Order, handles: [OwnedFd; HANDLES]) {
    let [component, code, said, answer] = handles;
    let ending = child(order, component, code, said).unwrap_or_else(|error| Ending {
        trouble: Some(format!("cannot start it: {error}")),
        ..Ending::default()
    });
    let text = serde_json::to_vec(&ending).unwrap_or_default();
    // A worker that does not want to know any more has gone.
    let _ = UnixStream::from(answer).write_all(&text);
}

fn child(order: &Order, component: OwnedFd, code: OwnedFd, said: OwnedFd) -> io::Result<Ending> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let mut child = program(CHILD)
        .arg(serde_json::to_string(order)?)
        .env("RAYON_NUM_THREADS", threads.to_string())
        // Each arena takes address space, of which there is a limit.
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(Stdio::from(component))
        .stdout(Stdio::from(code))
        .stderr(Stdio::from(said))
        .spawn()?;
    let late = !ends_within(&child, order.limits.wall());
    if late {
        child.kill()?;
    }
    let status = child.wait()?;
    Ok(Ending { code: status.code(), signal: status.signal(), late, trouble: None })
}

/// More do not compile one component any faster.
const MOST_THREADS: usize = 8;

/// False if it still runs after this time.
fn ends_within(child: &Child, time: Duration) -> bool {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty());
    // Its limit on CPU time still holds where the kernel cannot wait for processes.
    let Ok(process) = process else { return true };
    let Ok(time) = Timespec::try_from(time) else { return true };
    loop {
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&time)) {
            Err(Errno::INTR) => {}
            Ok(0) => return false,
            _ => return true,
        }
    }
}
