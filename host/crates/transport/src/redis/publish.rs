//! Sending messages: the envelope, the bindings, the lists.

use std::time::Duration;

use redis::{FromRedisValue, Pipeline, RedisError, RedisResult, Value, cmd};
use umbel_protocol::control::Binding;
use umbel_protocol::envelope::Envelope;
use umbel_protocol::message::{RawMessage, Route};
use umbel_protocol::names;
use uuid::Uuid;

use super::Shared;
use super::connection::{Fault, Link, fault, is_passing, is_refusal, new_batch};
use super::routing::{matching, own_binding, topic_pattern};

/// How long a message may wait for a server that went away, before its sender is told.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long to wait when the server said "not now".
const PAUSE: Duration = Duration::from_millis(250);

/// Returns once the server has the message. A route that leads nowhere is no error, as in kombu.
pub(super) async fn publish(
    shared: &Shared,
    route: &Route,
    message: &RawMessage,
) -> Result<(), Fault> {
    let (priority, text) = written(route, message);
    let sending = async {
        let queues = targets(shared, route).await?;
        let mut pipeline = new_batch();
        for queue in &queues {
            let list = shared.keys.list(queue, priority);
            pipeline.cmd("LPUSH").arg(list).arg(text.as_slice());
        }
        if queues.is_empty() {
            return Ok(());
        }
        commanded(&shared.link, &pipeline).await.map(drop)
    };
    patiently(shared, sending).await
}

/// A new message as it stands in a list, and the priority it waits at.
pub(super) fn written(route: &Route, message: &RawMessage) -> (u8, Vec<u8>) {
    let mut message = message.clone();
    // kombu always writes one.
    let priority = *message.properties.priority.get_or_insert(0);
    let envelope = Envelope {
        message,
        route: route.clone(),
        tag: Uuid::new_v4().to_string(),
        redelivered: false,
    };
    (priority, envelope.to_json())
}

/// Until it is done, the broker closes, or the server was away for too long.
pub(super) async fn patiently<T>(
    shared: &Shared,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::select! {
        biased;
        () = shared.closing.cancelled() => Err(Fault::Closed),
        done = tokio::time::timeout(PATIENCE, work) => match done {
            Ok(done) => done,
            Err(late) => Err(Fault::Unreachable(late.into())),
        },
    }
}

/// The queues a route leads to, by kombu's rules.
pub(super) async fn targets(shared: &Shared, route: &Route) -> Result<Vec<String>, Fault> {
    if route.exchange.is_empty() {
        declare(shared, &route.routing_key).await?;
        return Ok(vec![route.routing_key.clone()]);
    }
    let mut pipeline = new_batch();
    pipeline.add_command(cmd("SMEMBERS").arg(shared.keys.binding(&route.exchange)).to_owned());
    let answers = commanded(&shared.link, &pipeline).await?;
    let members = answers.into_iter().next().map(Vec::<String>::from_redis_value);
    // A member that is no text binds nothing.
    let members = members.and_then(Result::ok).unwrap_or_default();
    Ok(matching(&members, &route.routing_key))
}

/// Registers the binding of a queue to the exchange of its name, once for each connection.
pub(super) async fn declare(shared: &Shared, queue: &str) -> Result<(), Fault> {
    let generation = shared.link.live().await?.generation;
    if shared.is_declared(generation, queue) {
        return Ok(());
    }
    let binding = own_binding(queue);
    let mut pipeline = new_batch();
    // Both: a Python peer sweeps away tables that have no permanent twin.
    pipeline.cmd("SADD").arg(shared.keys.binding(queue)).arg(&binding);
    pipeline.cmd("SADD").arg(shared.keys.permanent_binding(queue)).arg(&binding);
    commanded(&shared.link, &pipeline).await?;
    shared.set_declared(generation, queue);
    Ok(())
}

/// Lets a queue take from one more exchange.
pub(super) async fn bind(shared: &Shared, queue: &str, binding: &Binding) -> Result<(), Fault> {
    let pattern = match binding.kind {
        "topic" => topic_pattern(&binding.routing_key),
        _ => String::new(),
    };
    let member = names::binding(&binding.routing_key, &pattern, queue);
    let mut pipeline = new_batch();
    pipeline.cmd("SADD").arg(shared.keys.binding(&binding.exchange)).arg(&member);
    pipeline.cmd("SADD").arg(shared.keys.permanent_binding(&binding.exchange)).arg(&member);
    patiently(shared, commanded(&shared.link, &pipeline)).await.map(drop)
}

/// Sends until every command was done; waits while the server says "not now". What it answers with
/// an error for good is one.
pub(super) async fn commanded(link: &Link, batch: &Pipeline) -> Result<Vec<Value>, Fault> {
    loop {
        let answers: RedisResult<Vec<Value>> = link.send(batch).await?.into_iter().collect();
        match answers {
            Ok(answers) => return Ok(answers),
            Err(why) if is_passing(&why) => tokio::time::sleep(PAUSE).await,
            Err(why) => return Err(final_fault(why)),
        }
    }
}

fn final_fault(why: RedisError) -> Fault {
    match is_refusal(&why) {
        true => fault(why),
        false => Fault::Other("the Redis server refuses a command".into(), why.into()),
    }
}
