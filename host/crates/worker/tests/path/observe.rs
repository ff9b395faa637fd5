//! What whoever measures hears: of every message once, with its times in order.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use umbel_protocol::message::{Message, RawMessage};
use umbel_worker::{End, Observer, Story, Times};

use crate::bench::{Bench, message};

/// What was heard, in order.
#[derive(Default)]
struct Ear(Mutex<Vec<Heard>>);

#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Received(String),
    Malformed,
    Started(String),
    /// The task, its end, and the fault of its run if there was a run.
    Settled(String, End, Option<Option<&'static str>>),
}

impl Ear {
    fn note(&self, heard: Heard) {
        self.0.lock().unwrap().push(heard);
    }

    fn heard(&self) -> Vec<Heard> {
        self.0.lock().unwrap().clone()
    }

    async fn eventually(&self, count: usize) -> Vec<Heard> {
        for _ in 0..2000 {
            if self.heard().len() >= count {
                return self.heard();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("heard nothing but {:#?}", self.heard());
    }
}

impl Observer for Ear {
    fn received(&self, message: &Message, queue: &str) {
        assert_eq!(queue, "celery");
        self.note(Heard::Received(message.task.clone()));
    }

    fn malformed(&self, queue: &str) {
        assert_eq!(queue, "celery");
        self.note(Heard::Malformed);
    }

    fn started(&self, message: &Message) {
        self.note(Heard::Started(message.task.clone()));
    }

    fn settled(&self, story: &Story<'_>) {
        let Times { received, started, ran, recorded, settled, .. } = story.times;
        let order = [Some(received), started, ran, recorded, settled];
        let order: Vec<_> = order.into_iter().flatten().collect();
        assert!(order.is_sorted(), "{:?}", story.times);
        assert!(settled.is_some());
        assert_eq!(started.is_some(), story.times.waited().is_some());
        assert!(story.run.is_none() || (ran.is_some() && recorded.is_some()), "{story:?}");
        let run = story.run.map(|run| run.fault);
        self.note(Heard::Settled(story.message.task.clone(), story.end, run));
    }
}

fn watched() -> (Arc<Ear>, Bench) {
    let ear = Arc::new(Ear::default());
    let bench = Bench::watched(|_| {}, Some(Arc::clone(&ear) as Arc<dyn Observer>));
    (ear, bench)
}

/// What is heard of one message from its receipt to its end.
async fn check(sent: Message, end: End, run: Option<Option<&'static str>>) {
    let (ear, bench) = watched();
    let task = sent.task.clone();
    bench.send(sent);
    let mut expected = vec![Heard::Received(task.clone())];
    expected.extend(run.map(|_| Heard::Started(task.clone())));
    expected.push(Heard::Settled(task, end, run));
    ear.eventually(expected.len()).await;
    bench.stop().await;
    assert_eq!(ear.heard(), expected);
}

#[tokio::test(start_paused = true)]
async fn every_message_is_heard_of_once() {
    let past =
        umbel_protocol::time::Timestamp::new(jiff::Timestamp::now() - Duration::from_secs(1));
    check(message("echo"), End::Succeeded, Some(None)).await;
    check(message("fail"), End::Failed, Some(Some("error"))).await;
    check(message("endless"), End::Failed, Some(Some("time"))).await;
    check(message("retry"), End::Retried, Some(None)).await;
    check(message("kinds"), End::Retried, Some(Some("error"))).await;
    check(message("reject"), End::Rejected, Some(None)).await;
    check(message("ignore"), End::Ignored, Some(None)).await;
    check(message("nope"), End::Unregistered, None).await;
    check(Message { expires: Some(past), ..message("echo") }, End::Expired, None).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_was_heard_of() {
    let (ear, bench) = watched();
    let soon = jiff::Timestamp::now() + Duration::from_secs(600);
    let soon = Some(umbel_protocol::time::Timestamp::new(soon));
    bench.send(Message { eta: soon, ..message("echo") });
    ear.eventually(1).await;
    bench.stop().await;
    let task = "echo".to_owned();
    let expected = [Heard::Received(task.clone()), Heard::Settled(task, End::Returned, None)];
    assert_eq!(ear.heard(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_task_request_is_heard_of_as_such() {
    let (ear, bench) = watched();
    bench.broker.deliver(RawMessage { body: "nonsense".into(), ..RawMessage::default() });
    assert_eq!(ear.eventually(1).await, [Heard::Malformed]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn how_long_a_message_was_with_the_broker_is_told_where_it_says_so() {
    struct Queued(Mutex<Vec<Option<Duration>>>);
    impl Observer for Queued {
        fn settled(&self, story: &Story<'_>) {
            self.0.lock().unwrap().push(story.times.queued());
        }
    }
    let queued = Arc::new(Queued(Mutex::default()));
    let bench = Bench::watched(|_| {}, Some(Arc::clone(&queued) as Arc<dyn Observer>));
    let now = jiff::Timestamp::now();
    let sent = |seconds: Option<i64>| {
        let mut raw = message("echo").encode();
        raw.properties.timestamp = seconds.map(|ago| (now.as_second() - ago).unsigned_abs());
        raw
    };
    for seconds in [None, Some(60), Some(-60)] {
        let count = queued.0.lock().unwrap().len() + 1;
        bench.broker.deliver(sent(seconds));
        while queued.0.lock().unwrap().len() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    bench.stop().await;
    let told = queued.0.lock().unwrap().clone();
    assert_eq!(told[0], None);
    assert!(told[1].is_some_and(|told| told >= Duration::from_secs(60)), "{told:?}");
    assert_eq!(told[2], Some(Duration::ZERO), "the clocks disagree");
}
