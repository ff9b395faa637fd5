//! The request as one JSON object, for people and tests to look at.

use serde::Serialize;
use umbel::context::{self, Request};
use umbel::json::{self, RawValue};

/// As Celery's own `self.request`, with what is JSON already left as it is.
#[derive(Serialize)]
struct Whoami<'a> {
    id: &'a str,
    task: &'a str,
    args: &'a RawValue,
    kwargs: &'a RawValue,
    retries: u32,
    root_id: &'a str,
    parent_id: Option<&'a str>,
    group: Option<&'a str>,
    group_index: Option<u32>,
    eta: Option<&'a str>,
    expires: Option<&'a str>,
    /// Hard and soft, in seconds, in the order of the message's own header.
    timelimit: (Option<f64>, Option<f64>),
    reply_to: Option<&'a str>,
    correlation_id: &'a str,
    delivery_info: Delivery<'a>,
    headers: &'a RawValue,
    stamps: &'a RawValue,
    remaining_ms: u64,
}

#[derive(Serialize)]
struct Delivery<'a> {
    exchange: &'a str,
    routing_key: &'a str,
    priority: Option<u8>,
    redelivered: bool,
}

/// The context of this run.
pub fn json() -> String {
    let request = context::current();
    json::to(&Whoami::of(&request)).expect("every field has a JSON form")
}

impl<'a> Whoami<'a> {
    fn of(request: &'a Request) -> Self {
        let seconds = |ms: Option<u64>| ms.map(|ms| ms as f64 / 1000.0);
        Whoami {
            id: &request.id,
            task: &request.name,
            args: raw(&request.args),
            kwargs: raw(&request.kwargs),
            retries: request.retries,
            root_id: &request.root_id,
            parent_id: request.parent_id.as_deref(),
            group: request.group_id.as_deref(),
            group_index: request.group_index,
            eta: request.eta.as_deref(),
            expires: request.expires.as_deref(),
            timelimit: (seconds(request.time_limit_ms), seconds(request.soft_time_limit_ms)),
            reply_to: request.reply_to.as_deref(),
            correlation_id: &request.correlation_id,
            delivery_info: Delivery {
                exchange: &request.delivery.exchange,
                routing_key: &request.delivery.routing_key,
                priority: request.delivery.priority,
                redelivered: request.delivery.redelivered,
            },
            headers: raw(&request.headers),
            stamps: raw(&request.stamps),
            remaining_ms: context::remaining_ms(),
        }
    }
}

fn raw(text: &str) -> &RawValue {
    json::raw(text).expect("the worker gives JSON")
}
