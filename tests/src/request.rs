//! Task messages as an unmodified Python client sends them.

use umbel_protocol::message::{Embed, Message, Version};
use umbel_value::{Map, Value};

/// A request with a fresh id and every other header as Celery's `send_task` sets it.
pub fn request(task: &str, args: Vec<Value>) -> Message {
    let id = uuid::Uuid::new_v4().to_string();
    Message {
        version: Version::V2,
        task: task.to_owned(),
        argsrepr: Some(repr(&args)),
        kwargsrepr: Some("{}".to_owned()),
        args,
        kwargs: Map::new(),
        embed: Embed::default(),
        shadow: None,
        eta: None,
        expires: None,
        group: None,
        group_index: None,
        retries: 0,
        time_limit: None,
        soft_time_limit: None,
        root_id: Some(id.clone()),
        parent_id: None,
        origin: Some("gen4242@client".to_owned()),
        ignore_result: None,
        replaced_task_nesting: 0,
        stamped_headers: None,
        stamps: Map::new(),
        reply_to: Some("8d61a6d6-6a2f-3a43-b9d6-7d8c4ad6a2a1".to_owned()),
        correlation_id: Some(id.clone()),
        priority: Some(0),
        headers: Map::new(),
        id,
    }
}

// Python's look of a tuple; good enough for the numbers and texts of tests.
fn repr(args: &[Value]) -> String {
    let items: Vec<String> = args.iter().map(Value::to_json).collect();
    match items.as_slice() {
        [only] => format!("({only},)"),
        _ => format!("({})", items.join(", ")),
    }
}
