//! What every timetable does; each function is one sentence and panics when it does not hold.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use umbel_protocol::message::{RawMessage, Route};

use super::{QUIET, TimetableFixture, eventually, fresh, soon};
use crate::delivery::Settlement;
use crate::timetable::{Change, Noted, Run, Timetable};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

pub async fn one_of_many_leads(fixture: &dyn TimetableFixture) {
    let tables = [fixture.timetable().await, fixture.timetable().await];
    let tokens: Vec<_> = (0..8).map(|number| format!("beat-{number}")).collect();
    let asking = tokens.iter().enumerate().map(|(number, token)| {
        let table = Arc::clone(&tables[number % 2]);
        async move { table.lead(token, LONG).await.expect("the lead is asked for") }
    });
    let held = soon("asking for the lead", join_all(asking)).await;
    assert_eq!(held.iter().filter(|held| **held).count(), 1, "{held:?}");
    let leader = held.iter().position(|held| *held).expect("counted");
    assert!(lead(&tables[1], &tokens[leader], LONG).await, "the leader keeps the lead");
}

pub async fn a_lead_that_is_given_up_is_anybodys(fixture: &dyn TimetableFixture) {
    let table = fixture.timetable().await;
    assert!(lead(&table, "a", LONG).await);
    table.resign("b").await.expect("gives up what is not its own");
    assert!(!lead(&table, "b", LONG).await);
    table.resign("a").await.expect("gives up");
    assert!(lead(&table, "b", LONG).await);
}

pub async fn a_lead_that_is_not_renewed_lapses(fixture: &dyn TimetableFixture) {
    let table = fixture.timetable().await;
    assert!(lead(&table, "a", Duration::from_millis(50)).await);
    eventually("another leads", || async { lead(&table, "b", LONG).await.then_some(()) }).await;
    let change = seen("entry");
    assert_eq!(note(&table, "a", &change).await, Noted::NotLeading);
    assert_eq!(note(&table, "b", &change).await, Noted::Done);
}

pub async fn a_run_is_read_as_it_was_noted(fixture: &dyn TimetableFixture) {
    let table = fixture.timetable().await;
    assert!(lead(&table, "a", LONG).await);
    let (first, second) = (seen("every day"), seen("nächtlich: 0 4 * * *"));
    assert_eq!(note(&table, "a", &first).await, Noted::Done);
    assert_eq!(note(&table, "a", &second).await, Noted::Done);
    let mut runs = fixture.timetable().await.runs().await.expect("reads");
    runs.sort_by(|one, other| one.0.cmp(&other.0));
    let wanted = [first, second].map(|change| (change.entry, change.after.expect("noted")));
    assert_eq!(runs, wanted);
}

pub async fn an_entry_can_be_forgotten(fixture: &dyn TimetableFixture) {
    let table = fixture.timetable().await;
    assert!(lead(&table, "a", LONG).await);
    let change = seen("entry");
    assert_eq!(note(&table, "a", &change).await, Noted::Done);
    let forgotten = Change { before: change.after, after: None, ..change };
    assert_eq!(note(&table, "a", &forgotten).await, Noted::Done);
    assert_eq!(table.runs().await.expect("reads"), []);
}

pub async fn nobody_notes_over_what_another_noted(fixture: &dyn TimetableFixture) {
    let table = fixture.timetable().await;
    assert!(lead(&table, "a", LONG).await);
    let change = seen("entry");
    assert_eq!(note(&table, "a", &change).await, Noted::Done);
    let other = Change { after: Some(at(9, 9)), ..change.clone() };
    assert_eq!(note(&table, "a", &other).await, Noted::Superseded);
    assert_eq!(table.runs().await.expect("reads"), [(change.entry, at(1, 0))]);
}

pub async fn a_run_and_its_message_go_out_together_and_once(fixture: &dyn TimetableFixture) {
    let table = fixture.timetable().await;
    assert!(lead(&table, "a", LONG).await);
    let change = seen("entry");
    assert_eq!(note(&table, "a", &change).await, Noted::Done);
    let run = Change { before: change.after, after: Some(at(2, 1)), ..change };
    let queue = fresh("scheduled");
    let (route, message) = (Route::queue(&queue), message());
    let sending = Some((&route, &message));
    let send = async |token: &str, change: &Change| {
        soon("noting", table.note(token, change, sending)).await.expect("notes")
    };
    assert_eq!(send("b", &run).await, Noted::NotLeading);
    let stale = Change { before: Some(at(7, 7)), after: Some(at(8, 8)), ..run.clone() };
    assert_eq!(send("a", &stale).await, Noted::Superseded);
    for _ in 0..3 {
        assert_eq!(send("a", &run).await, Noted::Done);
    }
    let consumer = fixture.broker().await;
    let mut consumer = consumer.consume(&[queue], 10).await.expect("consumes");
    let delivery = soon("the message", consumer.next()).await.expect("comes").expect("one");
    assert_eq!(delivery.message.body, message.body);
    delivery.receipt.settle(Settlement::Ack).await.expect("settles");
    let another = tokio::time::timeout(QUIET, consumer.next()).await;
    assert!(another.is_err(), "one message for one run, not {another:?}");
}

pub async fn of_many_who_note_a_run_one_sends_it(fixture: &dyn TimetableFixture) {
    let tables = [fixture.timetable().await, fixture.timetable().await];
    assert!(lead(&tables[0], "a", LONG).await);
    let change = seen("entry");
    assert_eq!(note(&tables[0], "a", &change).await, Noted::Done);
    let queue = fresh("scheduled");
    let (route, message) = (Route::queue(&queue), message());
    // Each would note something else, as beats whose clocks differ would.
    let noting = (0..8).map(|number| {
        let run = Change {
            before: change.after,
            after: Some(at(10 + number, 1)),
            entry: change.entry.clone(),
        };
        let table = Arc::clone(&tables[usize::try_from(number % 2).expect("small")]);
        let (route, message) = (&route, &message);
        async move { table.note("a", &run, Some((route, message))).await.expect("notes") }
    });
    let noted = soon("noting", join_all(noting)).await;
    assert_eq!(noted.iter().filter(|noted| **noted == Noted::Done).count(), 1, "{noted:?}");
}

async fn lead(table: &Arc<dyn Timetable>, token: &str, lease: Duration) -> bool {
    soon("asking for the lead", table.lead(token, lease)).await.expect("the lead is asked for")
}

async fn note(table: &Arc<dyn Timetable>, token: &str, change: &Change) -> Noted {
    soon("noting", table.note(token, change, None)).await.expect("notes")
}

/// An entry that is seen for the first time.
fn seen(entry: &str) -> Change {
    Change { entry: entry.to_owned(), before: None, after: Some(at(1, 0)) }
}

fn at(second: i64, count: u64) -> Run {
    let at = Timestamp::new(1_900_000_000 + second, 123_456_000).expect("in range");
    Run { at, count }
}

fn message() -> RawMessage {
    RawMessage { body: "[[], {}, {}]".into(), ..RawMessage::default() }
}
