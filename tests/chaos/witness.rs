//! Who did what to a message, as the Redis server saw it: `MONITOR` shows each command with who
//! gave it. So a canvas that did not end is pinned on the worker that lost it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::process::Command;

use serde_json::Value;
use umbel_harness::eventually::PATIENCE;
use umbel_harness::process::Process;
use umbel_harness::redis::RedisServer;
use umbel_protocol::names;

use crate::monitor::{Line, written_id};
use crate::plan::LONG;

/// What the Python worker calls its connections.
pub(crate) const PYTHON: &str = "python-worker";

/// How the first of the scripts begins that Umbel loads on each of its connections.
const UMBELS: &str = "-- Moves waiting messages into the unacknowledged ones";

/// Sees every command that a server carries out.
pub(crate) struct Witness<'a> {
    server: &'a RedisServer,
    monitor: Process,
}

impl<'a> Witness<'a> {
    pub(crate) fn start(server: &'a RedisServer) -> Witness<'a> {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &server.port().to_string(), "MONITOR"]);
        let mut monitor = Process::start("redis-cli", command);
        monitor.await_log("OK", PATIENCE);
        Witness { server, monitor }
    }

    /// All that happened until now.
    pub(crate) fn history(&mut self) -> History {
        const NOW: &str = "up to here";
        self.server.command_line(&["ECHO", NOW]);
        self.monitor.await_log(NOW, LONG);
        History::read(&self.monitor.log())
    }
}

/// Who gave a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hand {
    Umbel,
    Python,
    /// The client that sent the canvases, or the test.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// A message was put into its queue, or put back.
    Queued,
    /// It was noted as taken. Umbel pops and notes in one step; kombu pops before, unseen.
    Taken,
    /// It was taken off the notes and not put back: settled.
    Settled,
    /// The task's result was stored.
    Stored,
    /// The task was counted into its chord.
    Counted,
    /// Somebody tried to claim the chord's body.
    Claimed,
    /// The chord's body was said to be sent.
    Sent,
}

#[derive(Clone, Debug)]
struct Event {
    /// The number of the line, and its beginning.
    at: (usize, String),
    what: What,
    by: Hand,
}

/// A chain, or a chord's header and its body.
#[derive(Debug)]
pub(crate) struct Canvas {
    /// A chain's steps, or the tasks of a chord's header.
    tasks: Vec<String>,
    /// The last step, or the body.
    end: String,
    /// A chord's.
    group: Option<String>,
}

impl Canvas {
    /// As the client describes it.
    pub(crate) fn of(described: &Value) -> Canvas {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let tasks = described["tasks"].as_array().into_iter().flatten();
        Canvas {
            tasks: tasks.filter_map(text).collect(),
            end: text(&described["end"]).expect("it has an end"),
            group: text(&described["group"]),
        }
    }
}

/// How a canvas was lost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Popped by a worker that did not live to note it, as only kombu does it.
    Popped,
    /// Settled, with what follows from it undone.
    Settled(Hand),
    /// The last who counted a part in did not see the body sent.
    Uncalled(Hand),
    /// None of these.
    Unknown,
}

impl Loss {
    pub(crate) fn is_pythons(&self) -> bool {
        matches!(self, Loss::Popped | Loss::Settled(Hand::Python) | Loss::Uncalled(Hand::Python))
    }
}

/// What happened to each task and each chord, by id.
#[derive(Default)]
pub(crate) struct History {
    events: HashMap<String, Vec<Event>>,
    hands: BTreeMap<String, Hand>,
    /// Which task a noted message is of.
    tags: HashMap<String, String>,
    /// Who called the script whose commands are shown, and what it put back.
    caller: Option<Hand>,
    returned: BTreeSet<String>,
}

impl History {
    fn read(log: &str) -> History {
        let mut history = History::default();
        for (number, text) in log.lines().enumerate() {
            if let Some(line) = Line::parse(text) {
                history.take(number, text, &line);
            }
        }
        history
    }

    /// Whether commands of both workers were seen, each known as its own.
    pub(crate) fn knows_both(&self) -> bool {
        [Hand::Umbel, Hand::Python].iter().all(|one| self.hands.values().any(|hand| hand == one))
    }

    fn take(&mut self, number: usize, text: &str, line: &Line<'_>) {
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        if !line.is_of_a_script() {
            self.returned.clear();
            self.introduce(line.client, &words);
            self.caller = self.hands.get(line.client).copied();
        }
        let at = (number, text.chars().take(300).collect());
        let by = self.caller.unwrap_or(Hand::Other);
        for (id, what) in self.told(&words) {
            let event = Event { at: Clone::clone(&at), what, by };
            self.events.entry(id).or_default().push(event);
        }
    }

    /// Who is at the other end of a connection. Its address may have been another's.
    fn introduce(&mut self, client: &str, words: &[&str]) {
        let hand = match words {
            ["HELLO", ..] => Hand::Other,
            ["CLIENT", "SETNAME", name] if *name == PYTHON => Hand::Python,
            ["SCRIPT", "LOAD", code] if code.starts_with(UMBELS) => Hand::Umbel,
            _ => return,
        };
        self.hands.insert(client.to_owned(), hand);
    }

    /// What a command says about which tasks or chords.
    fn told(&mut self, words: &[&str]) -> Vec<(String, What)> {
        match words {
            ["LPUSH" | "RPUSH", queue, message]
                if names::queue_of_key(queue) == names::DEFAULT_QUEUE =>
            {
                let Some(id) = written_id(message) else { return vec![] };
                self.returned.insert(id.clone());
                vec![(id, What::Queued)]
            }
            ["HSET" | "HSETNX", names::UNACKED, tag, note] => {
                let Some(id) = written_id(note) else { return vec![] };
                self.tags.insert((*tag).to_owned(), id.clone());
                vec![(id, What::Taken)]
            }
            ["HDEL", names::UNACKED, tags @ ..] => {
                let ids = tags.iter().filter_map(|tag| self.tags.get(*tag));
                // Umbel puts a message back before it strikes it off, in one script.
                let settled = ids.filter(|id| !self.returned.contains(*id));
                settled.map(|id| (id.clone(), What::Settled)).collect()
            }
            ["SET" | "SETEX", key, rest @ ..] => kept(key, rest).into_iter().collect(),
            ["EVALSHA", _, keys, joined, ..] if joined.ends_with(".j") => {
                let id = keys.parse().ok().and_then(|keys: usize| words.get(3 + keys));
                id.map(|id| ((*id).to_owned(), What::Counted)).into_iter().collect()
            }
            _ => vec![],
        }
    }

    fn of(&self, id: &str) -> &[Event] {
        self.events.get(id).map_or(&[], Vec::as_slice)
    }

    fn is(&self, id: &str, what: What) -> bool {
        self.of(id).iter().any(|event| event.what == what)
    }

    /// The task on whose message the rest of the canvas hung last.
    fn bearer<'c>(&self, canvas: &'c Canvas) -> Option<&'c str> {
        let moved = |id: &str| self.is(id, What::Queued) || self.is(id, What::Taken);
        match canvas.tasks.iter().position(|id| !self.is(id, What::Stored)) {
            Some(unended) if moved(&canvas.tasks[unended]) => Some(&canvas.tasks[unended]),
            // A chain's next step was never sent.
            Some(unended) if canvas.group.is_none() => Some(&canvas.tasks[unended.checked_sub(1)?]),
            Some(_) => None,
            None if moved(&canvas.end) => Some(&canvas.end),
            // The chord's body was never sent.
            None => {
                let counted = |id: &&String| {
                    let all = self.of(id).iter().filter(|event| event.what == What::Counted);
                    all.map(|event| event.at.0).max()
                };
                canvas.tasks.iter().max_by_key(counted).map(String::as_str)
            }
        }
    }

    /// How a canvas was lost that did not end although nothing waits or is held any more.
    pub(crate) fn loss(&self, canvas: &Canvas) -> Loss {
        let Some(bearer) = self.bearer(canvas) else { return Loss::Unknown };
        let last = self.of(bearer).iter().rfind(|event| event.what != What::Stored);
        let unsent = canvas.group.as_ref().is_some_and(|group| !self.is(group, What::Sent));
        match last.map(|event| (event.what, event.by)) {
            Some((What::Queued, _)) => Loss::Popped,
            Some((What::Settled, by)) => Loss::Settled(by),
            Some((What::Counted, by)) if unsent => Loss::Uncalled(by),
            _ => Loss::Unknown,
        }
    }

    /// Everything that was seen of a canvas, as the server showed it.
    pub(crate) fn story(&self, canvas: &Canvas) -> String {
        let ids = canvas.tasks.iter().chain([&canvas.end]).chain(&canvas.group);
        let mut all: BTreeMap<(usize, usize), (&String, &Event)> = BTreeMap::new();
        for (place, id) in ids.collect::<BTreeSet<_>>().into_iter().enumerate() {
            all.extend(self.of(id).iter().map(|event| ((event.at.0, place), (id, event))));
        }
        let mut story = format!("{canvas:?}\nhung on {:?}", self.bearer(canvas));
        for (id, Event { at, what, by }) in all.into_values() {
            let _ = write!(story, "\n{what:?} by {by:?}: {id}\n    {}", at.1);
        }
        story
    }
}

/// A result, or what is said of a chord's body.
fn kept(key: &str, rest: &[&str]) -> Option<(String, What)> {
    if let Some(id) = key.strip_prefix(names::RESULT_PREFIX) {
        let success = rest.iter().any(|word| word.contains(r#""SUCCESS""#));
        return success.then(|| (id.to_owned(), What::Stored));
    }
    let (group, claim) = key.strip_prefix(names::GROUP_PREFIX)?.rsplit_once('.')?;
    let what = match (claim, rest.first()?) {
        ("c", done) if *done == names::CHORD_DONE => What::Sent,
        ("c" | "umbel", _) => What::Claimed,
        _ => return None,
    };
    Some((group.to_owned(), what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(hand: &str, id: &str) -> String {
        format!(r#"{hand}] "LPUSH" "celery" "{{\"headers\": {{\"id\": \"{id}\"}}}}""#)
    }

    fn taken(hand: &str, id: &str) -> String {
        format!(r#"{hand}] "HSET" "unacked" "tag-{id}" "[{{\"headers\": {{\"id\": \"{id}\"}}}}]""#)
    }

    fn settled(hand: &str, id: &str) -> String {
        format!(r#"{hand}] "HDEL" "unacked" "tag-{id}""#)
    }

    fn stored(hand: &str, id: &str) -> String {
        format!(r#"{hand}] "SETEX" "celery-task-meta-{id}" "9" "{{\"status\": \"SUCCESS\"}}""#)
    }

    fn counted(hand: &str, id: &str) -> String {
        let keys = ["j", "t", "s", "d", "", "c"].map(|key| format!(r#""g.{key}""#)).join(" ");
        format!(r#"{hand}] "EVALSHA" "abc" "6" {keys} "{id}" "1""#)
    }

    /// From the taking of its message to the settling.
    fn done(hand: &str, id: &str) -> Vec<String> {
        vec![taken(hand, id), stored(hand, id), counted(hand, id), settled(hand, id)]
    }

    #[track_caller]
    fn check(group: Option<&str>, happened: &[Vec<String>], expected: &Loss) {
        let introduced = [
            format!(r#"python] "CLIENT" "SETNAME" "{PYTHON}""#),
            format!(r#"umbel] "SCRIPT" "LOAD" "{UMBELS}, in …""#),
        ];
        let lines = introduced.iter().chain(happened.iter().flatten());
        let log: String = lines.map(|line| format!("1795275864.9 [0 {line}\n")).collect();
        let history = History::read(&log);
        assert!(history.knows_both());
        let end = if group.is_some() { "body" } else { "b" }.to_owned();
        let tasks = ["a", "b"].map(str::to_owned).to_vec();
        let canvas = Canvas { tasks, end, group: group.map(str::to_owned) };
        assert_eq!(history.loss(&canvas), *expected, "{}", history.story(&canvas));
    }

    #[test]
    fn a_chain_is_pinned_on_whoever_had_its_message_last() {
        let sent = || vec![queued("client", "a")];
        let both = |hand| [sent(), vec![queued(hand, "b")], done(hand, "a")];
        check(None, &[sent()], &Loss::Popped);
        check(None, &[sent(), done("umbel", "a")], &Loss::Settled(Hand::Umbel));
        check(None, &[sent(), done("python", "a")], &Loss::Settled(Hand::Python));
        let [first, second, third] = both("umbel");
        check(None, &[first, second, third], &Loss::Popped);
        let [first, second, third] = both("python");
        let dropped = vec![taken("umbel", "b"), settled("umbel", "b")];
        check(None, &[first, second, third, dropped], &Loss::Settled(Hand::Umbel));
    }

    #[test]
    fn what_a_script_put_back_is_not_settled() {
        let back = vec![
            r#"umbel] "EVALSHA" "def" "3""#.to_owned(),
            queued("lua", "a"),
            settled("lua", "a"),
        ];
        check(None, &[vec![taken("umbel", "a")], back], &Loss::Popped);
        let gone = vec![r#"umbel] "EVALSHA" "def" "2""#.to_owned(), settled("lua", "a")];
        check(None, &[vec![taken("python", "a")], gone], &Loss::Settled(Hand::Umbel));
    }

    #[test]
    fn a_chord_without_its_body_is_pinned_on_whoever_counted_last() {
        let sent = || vec![queued("client", "a"), queued("client", "b")];
        let parts = |one, two| [sent(), done(one, "a"), done(two, "b")];
        check(Some("g"), &parts("python", "umbel"), &Loss::Settled(Hand::Umbel));
        check(Some("g"), &parts("umbel", "python"), &Loss::Settled(Hand::Python));
        let [first, second, third] = parts("umbel", "umbel");
        let again = vec![queued("python", "b")];
        check(Some("g"), &[first, second, third, again], &Loss::Popped);
        check(Some("g"), &[sent(), done("umbel", "a")], &Loss::Popped);
    }

    #[test]
    fn where_messages_are_not_seen_the_counting_tells() {
        let part = |hand, id| vec![stored(hand, id), counted(hand, id)];
        let all = |last| [part("umbel", "a"), part(last, "b")];
        check(Some("g"), &all("python"), &Loss::Uncalled(Hand::Python));
        check(Some("g"), &all("umbel"), &Loss::Uncalled(Hand::Umbel));
        let [first, second] = all("python");
        let said = vec![r#"python] "SET" "celery-taskset-meta-g.c" "done" "EX" "300""#.to_owned()];
        check(Some("g"), &[first, second, said], &Loss::Unknown);
        check(None, &[part("python", "a")], &Loss::Unknown);
    }
}
