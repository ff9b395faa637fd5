//! `umbel:task/context`: who the task is and how long it has got.

use std::time::Duration;

use umbel_value::{Map, Value};

use crate::bindings::umbel::task::context::{Delivery, Host, Request};
use crate::deadlines::Deadline;
use crate::state::State;

impl Host for State {
    fn current(&mut self) -> wasmtime::Result<Request> {
        let call = &self.call;
        Ok(Request {
            id: call.id.clone(),
            name: call.name.clone(),
            args: Value::List(call.args.clone()).to_json(),
            kwargs: object(&call.kwargs),
            retries: call.retries,
            root_id: call.root_id.clone(),
            parent_id: call.parent_id.clone(),
            group_id: call.group_id.clone(),
            group_index: call.group_index,
            eta: call.eta.clone(),
            expires: call.expires.clone(),
            time_limit_ms: Some(milliseconds(self.bounds.deadlines.hard().limit)),
            soft_time_limit_ms: self.bounds.deadlines.soft().map(|soft| milliseconds(soft.limit)),
            reply_to: call.reply_to.clone(),
            correlation_id: call.correlation_id.clone(),
            delivery: Delivery {
                exchange: call.delivery.exchange.clone(),
                routing_key: call.delivery.routing_key.clone(),
                priority: call.delivery.priority,
                redelivered: call.delivery.redelivered,
            },
            headers: object(&call.headers),
            stamps: object(&call.stamps),
        })
    }

    fn remaining_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(left(self.bounds.deadlines.hard()))
    }

    fn soft_remaining_ms(&mut self) -> wasmtime::Result<Option<u64>> {
        Ok(self.bounds.deadlines.soft().map(left))
    }

    fn take_soft_limit(&mut self) -> wasmtime::Result<()> {
        self.bounds.deadlines.take_soft();
        Ok(())
    }
}

fn object(map: &Map) -> String {
    Value::Map(map.clone()).to_json()
}

fn left(deadline: Deadline) -> u64 {
    milliseconds(deadline.remaining())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
