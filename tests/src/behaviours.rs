//! What hostile tasks try and how each must end: one table for the tests, which assert it, and for
//! `make hostile`, which measures it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use umbel_harness::paths;
use umbel_harness::worker::Worker;
use umbel_protocol::record::{ResultRecord, State};

use crate::client::failure;
use crate::guests::guest;

/// One way to call one guest.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// Its line in the list of hostile behaviours (`tests/hostile/lines.rs`).
    pub line: u8,
    /// What it tries, for people.
    pub tries: &'static str,
    /// The guest in `tests/guests`.
    pub guest: &'static str,
    /// The function, in WIT's spelling.
    pub function: &'static str,
    /// A JSON array.
    pub args: &'static str,
    pub ends: Ends,
}

/// How it must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// What it tries has no effect.
    Returns,
    AtItsTimeLimit,
    /// An exception of this kind.
    With(&'static str),
}

use Ends::{AtItsTimeLimit, Returns, With};

/// Milliseconds that tasks get which must end at their time limit.
pub const TIME_LIMIT_MS: u32 = 500;

/// A text as the only argument.
const WORDS: &str = r#"["in the guest's own memory"]"#;

const fn try_it(
    line: u8,
    tries: &'static str,
    call: (&'static str, &'static str, &'static str),
    ends: Ends,
) -> Behaviour {
    let (guest, function, args) = call;
    Behaviour { line, tries, guest, function, args, ends }
}

/// Every behaviour of a task that needs nothing but to be called.
pub const BEHAVIOURS: &[Behaviour] = &[
    try_it(1, "an endless loop", ("loops", "forever", "[]"), AtItsTimeLimit),
    try_it(1, "an endless loop of host calls", ("loops", "asking-the-time", "[]"), AtItsTimeLimit),
    try_it(3, "sleeping for ever", ("sleeps", "forever", "[]"), AtItsTimeLimit),
    try_it(4, "sleeps of 1 ns without end", ("sleeps", "naps", "[4000000000]"), AtItsTimeLimit),
    try_it(5, "endless recursion", ("recurses", "deeper", "[0]"), With("TaskTrap")),
    try_it(6, "allocating without end", ("hoards", "allocate", "[]"), With("MemoryError")),
    try_it(6, "growing memory without touching it", ("hoards", "grow", "[]"), With("MemoryError")),
    try_it(6, "memory taken while it starts", ("gorges", "reach", "[]"), With("MemoryError")),
    try_it(6, "three memories growing in turn", ("swells", "memories", "[]"), With("MemoryError")),
    try_it(7, "a table growing until it is refused", ("swells", "table", "[]"), Returns),
    try_it(
        8,
        "timers that are never given back",
        ("leaks", "handles", "[]"),
        With("HostCallLimitExceeded"),
    ),
    try_it(8, "5,000 timers in one call, none due", ("leaks", "poll-late", "[]"), AtItsTimeLimit),
    try_it(
        8,
        "5,000 timers in one call, one due",
        ("leaks", "poll-due", "[]"),
        With("HostCallLimitExceeded"),
    ),
    try_it(9, "10 MB of output in lines", ("floods", "flood", "[60000]"), Returns),
    try_it(9, "10 MB of output in one line", ("floods", "endless-line", "[10000000]"), Returns),
    try_it(9, "forged log lines, ANSI and OSC escapes", ("floods", "forge", "[]"), Returns),
    try_it(9, "output that is no UTF-8", ("floods", "rubbish", "[]"), Returns),
    try_it(10, "a result of 50 MB", ("boasts", "text", "[50000000]"), With("OutputTooLarge")),
    try_it(
        10,
        "a list of a million numbers",
        ("boasts", "numbers", "[1000000]"),
        With("OutputTooLarge"),
    ),
    try_it(10, "JSON 100,000 levels deep", ("boasts", "deep", "[100000]"), With("TaskError")),
    try_it(
        10,
        "a lone surrogate as JSON",
        ("lies", "answer", r#"["\"\\ud800\""]"#),
        With("TaskError"),
    ),
    try_it(10, "NaN", ("oddities", "nan", "[]"), Returns),
    try_it(10, "an infinity", ("oddities", "infinity", "[]"), Returns),
    try_it(10, "an integer beyond 2^53", ("oddities", "beyond-doubles", "[]"), Returns),
    try_it(12, "a realloc that traps", ("betrays", "realloc-traps", WORDS), With("TaskTrap")),
    try_it(12, "a realloc without end", ("betrays", "realloc-loops", WORDS), AtItsTimeLimit),
    try_it(12, "room beyond the memory", ("betrays", "realloc-beyond", WORDS), With("TaskTrap")),
    try_it(
        12,
        "room across the memory's end",
        ("betrays", "realloc-at-the-end", WORDS),
        With("TaskTrap"),
    ),
    try_it(
        12,
        "room at an odd address",
        ("betrays", "realloc-odd", "[[1, 2, 3]]"),
        With("TaskTrap"),
    ),
    try_it(
        12,
        "the same room again and again",
        ("betrays", "realloc-overlapping", r#"[["one", "two", "three"]]"#),
        Returns,
    ),
    try_it(
        12,
        "a post-return that traps",
        ("betrays", "post-return-traps", "[]"),
        With("TaskTrap"),
    ),
    try_it(12, "a post-return without end", ("betrays", "post-return-loops", "[]"), AtItsTimeLimit),
    try_it(13, "entering itself", ("reenters", "directly", "[]"), With("TaskTrap")),
    try_it(
        13,
        "entering itself through a child",
        ("reenters", "through-a-child", "[]"),
        With("TaskTrap"),
    ),
    try_it(14, "a surrogate as char", ("misfits", "surrogate", "[]"), With("TaskTrap")),
    try_it(14, "a char beyond Unicode", ("misfits", "beyond-unicode", "[]"), With("TaskTrap")),
    try_it(14, "an enum case that is none", ("misfits", "no-such-case", "[]"), With("TaskTrap")),
    try_it(14, "an option that is neither", ("misfits", "no-such-option", "[]"), With("TaskTrap")),
    try_it(14, "a result that is neither", ("misfits", "no-such-result", "[]"), With("TaskTrap")),
    try_it(14, "flags that are not there", ("misfits", "unknown-flags", "[]"), Returns),
    try_it(14, "a bool of 77", ("misfits", "odd-truth", "[]"), Returns),
    try_it(14, "text that is no UTF-8", ("misfits", "no-utf8", "[]"), With("TaskTrap")),
    try_it(14, "text that is no UTF-16", ("misfits", "no-utf16", "[]"), With("TaskTrap")),
    try_it(14, "UTF-16 at an odd address", ("misfits", "odd-utf16", "[]"), With("TaskTrap")),
    try_it(14, "latin1+utf16 at an odd address", ("misfits", "odd-latin1", "[]"), With("TaskTrap")),
    try_it(14, "text beyond the memory", ("misfits", "beyond-memory", "[]"), With("TaskTrap")),
    try_it(
        14,
        "text longer than the memory",
        ("misfits", "longer-than-memory", "[]"),
        With("TaskTrap"),
    ),
    try_it(14, "a list at an odd address", ("misfits", "odd-words", "[]"), With("TaskTrap")),
    try_it(
        14,
        "a list whose size wraps round",
        ("misfits", "wrapping-length", "[]"),
        With("TaskTrap"),
    ),
    try_it(14, "a tuple across the end", ("misfits", "record-at-the-end", "[]"), With("TaskTrap")),
    try_it(15, "an initialiser without end", ("stalls", "reach", "[]"), AtItsTimeLimit),
    try_it(
        19,
        "the cloud's metadata",
        ("connects", "tcp", r#"["169.254.169.254:80"]"#),
        With("TaskError"),
    ),
    try_it(19, "listening", ("connects", "listen", r#"["0.0.0.0:0"]"#), With("TaskError")),
    try_it(19, "UDP to a neighbour", ("connects", "udp", r#"["127.0.0.1:53"]"#), With("TaskError")),
    try_it(19, "name lookup", ("connects", "look-up", r#"["localhost"]"#), With("TaskError")),
    try_it(21, "reading /etc/passwd", ("snoops", "read", r#"["/etc/passwd"]"#), With("TaskError")),
    try_it(
        21,
        "climbing out with ..",
        ("snoops", "read", r#"["../../etc/passwd"]"#),
        With("TaskError"),
    ),
    try_it(21, "listing /", ("snoops", "list-folder", r#"["/"]"#), With("TaskError")),
    try_it(
        22,
        "writing to /tmp",
        ("snoops", "write", r#"["/tmp/umbel-guest-was-here"]"#),
        With("TaskError"),
    ),
    try_it(24, "reading the environment", ("snoops", "environment", "[]"), Returns),
    try_it(
        25,
        "sending a million tasks",
        ("spams", "flood", r#"["tasks.echo", 1000000]"#),
        Returns,
    ),
    try_it(25, "a signature 100,000 levels deep", ("spams", "deep", "[100000]"), Returns),
    try_it(
        29,
        "os.system as exception",
        ("poses", "fail-as", r#"["os.system", "id"]"#),
        With("TaskError"),
    ),
    try_it(32, "randomness word by word", ("draws", "words", "[]"), AtItsTimeLimit),
    try_it(
        32,
        "randomness by the megabyte",
        ("draws", "bytes", "[1000000]"),
        With("HostCallLimitExceeded"),
    ),
    try_it(
        32,
        "4 GB of randomness at once",
        ("draws", "bytes", "[4000000000]"),
        With("HostCallLimitExceeded"),
    ),
    try_it(35, "a million progress updates", ("chatters", "progress", "[1000000]"), Returns),
    try_it(35, "a million log lines", ("chatters", "log", "[1000000]"), Returns),
    try_it(36, "awaiting for ever", ("dawdles", "awaits-for-ever", "[]"), AtItsTimeLimit),
    try_it(36, "blocking for ever", ("dawdles", "blocks-for-ever", "[]"), AtItsTimeLimit),
    try_it(36, "turn after turn without end", ("dawdles", "takes-turns", "[]"), AtItsTimeLimit),
    try_it(36, "a callback without end", ("dawdles", "spins", "[]"), AtItsTimeLimit),
    try_it(36, "yielding without end", ("dawdles", "yields", "[]"), AtItsTimeLimit),
    try_it(36, "polling without end", ("dawdles", "polls", "[]"), AtItsTimeLimit),
    try_it(
        36,
        "cancelling what it begins, without end",
        ("dawdles", "cancels", "[]"),
        AtItsTimeLimit,
    ),
    try_it(36, "backpressure on and off without end", ("dawdles", "presses", "[]"), AtItsTimeLimit),
    try_it(
        36,
        "backpressure beyond its counter",
        ("dawdles", "presses-on", "[]"),
        With("TaskTrap"),
    ),
    try_it(36, "going on after its return", ("dawdles", "returns-and-goes-on", "[]"), Returns),
    try_it(36, "spinning after its return", ("dawdles", "returns-and-spins", "[]"), Returns),
    try_it(
        36,
        "a trap in a turn after its return",
        ("dawdles", "returns-and-traps-later", "[]"),
        Returns,
    ),
    try_it(36, "blocking after its return", ("dawdles", "returns-and-blocks", "[]"), Returns),
    try_it(
        36,
        "a loop in the turn of its return",
        ("dawdles", "returns-and-loops", "[]"),
        AtItsTimeLimit,
    ),
    try_it(
        36,
        "a trap in the turn of its return",
        ("dawdles", "returns-and-traps", "[]"),
        With("TaskTrap"),
    ),
    try_it(36, "returning twice", ("dawdles", "returns-twice", "[]"), With("TaskTrap")),
    try_it(36, "ending without a return", ("dawdles", "no-result", "[]"), With("TaskTrap")),
    try_it(36, "an answer that is none", ("dawdles", "no-such-end", "[]"), With("TaskTrap")),
    try_it(
        36,
        "a million sets of waitables",
        ("dawdles", "sets", "[]"),
        With("HostCallLimitExceeded"),
    ),
    try_it(36, "a million subtasks", ("dawdles", "subtasks", "[]"), With("HostCallLimitExceeded")),
    try_it(36, "a million streams", ("dawdles", "streams", "[]"), With("HostCallLimitExceeded")),
    try_it(36, "a million futures", ("dawdles", "futures", "[]"), With("HostCallLimitExceeded")),
    try_it(
        36,
        "writing to streams that nobody reads",
        ("dawdles", "unread", "[]"),
        With("HostCallLimitExceeded"),
    ),
    try_it(36, "waiting for nobody to read", ("dawdles", "unread-once", "[]"), With("TaskTrap")),
    try_it(
        36,
        "a stream of what lies beyond the memory",
        ("dawdles", "beyond-memory", "[]"),
        With("TaskTrap"),
    ),
    try_it(36, "a stream from itself to itself", ("dawdles", "copies", "[]"), AtItsTimeLimit),
    try_it(
        36,
        "dropping a subtask that runs",
        ("dawdles", "drops-what-runs", "[]"),
        With("TaskTrap"),
    ),
    try_it(
        36,
        "blocking in a function that is not async",
        ("dawdles", "stuck", "[]"),
        With("TaskTrap"),
    ),
];

impl Behaviour {
    /// The task's name.
    pub fn task(&self) -> String {
        format!("{}.{}", self.guest, self.function.replace('-', "_"))
    }

    /// What is wrong with how it ended.
    pub fn complaint(&self, record: &ResultRecord) -> Option<String> {
        let kind = match self.ends {
            Returns if record.state == State::Success => return None,
            Returns => "nothing",
            AtItsTimeLimit => "TimeLimitExceeded",
            With(kind) => kind,
        };
        let seen = match record.state {
            State::Failure => failure(record).kind,
            ref state => format!("{state:?}"),
        };
        (seen != kind).then(|| format!("{}: {seen} instead of {kind}", self.tries))
    }
}

/// A worker's plugins and limits for all of them, and the example `tasks` as a neighbour.
pub fn serve(worker: Worker) -> Worker {
    let mut guests: BTreeMap<&str, Vec<&Behaviour>> = BTreeMap::new();
    for behaviour in BEHAVIOURS {
        guests.entry(behaviour.guest).or_default().push(behaviour);
    }
    let mut config =
        "[limits]\ntime = \"60s\"\nmemory = \"64MiB\"\noutput = \"1MiB\"\nlog = \"16KiB\"\n"
            .to_owned();
    let mut worker = worker.plugin("tasks", paths::plugin("tasks"));
    for (name, behaviours) in guests {
        worker = worker.plugin(name, guest(name));
        let _ = writeln!(config, "[plugins.{name}]");
        if name == "spams" {
            config += "allow = { submit = [\"tasks.echo\"], submit-count = 10 }\n";
        }
        let endless = behaviours.iter().filter(|one| one.ends == AtItsTimeLimit);
        for function in endless.map(|one| one.function).collect::<BTreeSet<_>>() {
            let _ = writeln!(
                config,
                "tasks.{function} = {{ limits = {{ time = \"{TIME_LIMIT_MS}ms\" }} }}"
            );
        }
    }
    worker.config(&config)
}
