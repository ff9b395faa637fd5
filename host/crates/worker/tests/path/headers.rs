//! Whoever observes may write headers of what a message sends, whatever it is and whenever it is sent.

use std::sync::Arc;

use umbel_protocol::message::Message;
use umbel_value::{Map, Value};
use umbel_worker::Observer;

use crate::bench::{Bench, message, signature};

/// Marks what is sent with the id of the message it is sent for.
struct Marker;

impl Observer for Marker {
    fn sending(&self, parent: &Message, headers: &mut Map) {
        headers.insert("mark".to_owned(), (&parent.id).into());
    }
}

/// Runs one message, and compares the names of what was sent; every one is marked.
async fn check(message: Message, expected: &[&str]) {
    let bench = Bench::watched(|_| {}, Some(Arc::new(Marker)));
    bench.send(message.clone());
    bench.diary.eventually("Ack").await;
    let sent = bench.broker.sent();
    let names: Vec<&str> = sent.iter().map(|sent| sent.task.as_str()).collect();
    assert_eq!(names, expected);
    for sent in &sent {
        let mark = sent.headers.get("mark").and_then(Value::as_str);
        assert_eq!(mark, Some(message.id.as_str()), "{}", sent.task);
    }
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_success_is_marked() {
    let mut sent = message("echo");
    sent.embed.callbacks = Some(vec![signature("far.log", "log")].into());
    sent.embed.chain = Some(vec![signature("far.next", "next")].into());
    check(sent, &["far.log", "far.next"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_run_sends_is_marked() {
    let mut sent = message("send");
    sent.args = vec!["far.task".into()];
    check(sent, &["far.task", "far.task"]).await;
    let mut replaced = message("replace");
    replaced.args = vec![signature("far.other", "other")];
    check(replaced, &["far.other"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_marked_anew() {
    let mut sent = message("retry");
    sent.headers.insert("mark".to_owned(), "that of whoever sent it".into());
    check(sent, &["retry"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_error_callback_is_marked() {
    let mut sent = message("fail");
    sent.embed.errbacks = Some(vec![signature("far.on_error", "errback")].into());
    check(sent, &["far.on_error"]).await;
}
