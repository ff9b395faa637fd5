//! One task: its signature and options become a message (PROTOCOL 5.2, 1.1).

use umbel_value::{Map, Tag, Value};

use super::CanvasError;
use super::planner::{Call, Planner};
use super::reference::Reference;
use crate::body::{Compression, Content, Serializer};
use crate::message::{Chain, Embed, Message, Route, Version};
use crate::repr;
use crate::signature::{self, Kind, Signature, merged, wrong};
use crate::time::Timestamp;

/// Headers that a message has fields for: options cannot set them past these.
const OWN_HEADERS: [&str; 21] = [
    "lang",
    "task",
    "id",
    "shadow",
    "eta",
    "expires",
    "group",
    "group_index",
    "retries",
    "timelimit",
    "root_id",
    "parent_id",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "ignore_result",
    "replaced_task_nesting",
    "stamped_headers",
    "stamps",
    "compression",
    "redelivered",
];

impl Planner<'_, '_> {
    pub(super) fn apply_task(
        &mut self,
        signature: Signature,
        call: Call,
    ) -> Result<Reference, CanvasError> {
        let Signature { kind, task, args, mut kwargs, options, immutable, .. } = signature;
        let options = merged(options, call.options);
        let immutable = immutable || matches!(kind, Kind::Map | Kind::Starmap);
        let args =
            if immutable || call.args.is_empty() { args } else { [call.args, args].concat() };
        if !immutable {
            kwargs.extend(call.kwargs);
        }
        self.charge(options.values().chain(&args).chain(kwargs.values()), 1)?;
        self.charge_bytes(call.tail.as_ref().map_or(0, Chain::unread))?;
        let route = self.route(&task, kind, &kwargs, &options)?;
        let mut message = self.message(task, args, kwargs, options)?;
        if call.tail.is_some() {
            message.embed.chain = call.tail;
        }
        let reference = Reference::task(message.id.clone());
        self.send(route, message)?;
        Ok(reference)
    }

    fn message(
        &mut self,
        task: String,
        args: Vec<Value>,
        kwargs: Map,
        mut options: Map,
    ) -> Result<Message, CanvasError> {
        let id = self.id(&options, None)?;
        let parent = self.sender.parent;
        let given = |key: &str| signature::text(&options, key);
        let mut message = Message::empty(Version::V2, id, task);
        message.argsrepr = Some(repr::args(&args));
        message.kwargsrepr = Some(repr::kwargs(&kwargs));
        (message.args, message.kwargs) = (args, kwargs);
        message.shadow = given("shadow")?;
        message.group = given("group_id")?;
        message.group_index = small(&options, "group_index")?;
        message.retries = small(&options, "retries")?.unwrap_or_default();
        message.replaced_task_nesting =
            small(&options, "replaced_task_nesting")?.unwrap_or_default();
        message.time_limit = limit(&options, "time_limit")?;
        message.soft_time_limit = limit(&options, "soft_time_limit")?;
        message.ignore_result = options.get("ignore_result").and_then(Value::as_bool);
        let root = || parent.map(|parent| parent.root_id.as_ref().unwrap_or(&parent.id).clone());
        message.root_id = given("root_id")?.or_else(root).or_else(|| Some(message.id.clone()));
        message.parent_id = given("parent_id")?.or_else(|| Some(parent?.id.clone()));
        // Celery sends its own here, and the caller never learns the result; the client who sent
        // the parent can.
        message.reply_to = given("reply_to")?.or_else(|| parent?.reply_to.clone());
        message.correlation_id = Some(message.id.clone());
        message.origin = Some(self.sender.origin.to_owned());
        message.priority = Some(priority(&options)?);
        message.content = self.content(&options)?;
        (message.eta, message.expires) = self.times(&options)?;
        set_stamps(&mut message, &options)?;
        set_headers(&mut message, &options)?;
        message.embed = embed(&mut options)?;
        Ok(message)
    }

    /// The call's own queue, or exchange and key, or where the task goes by its name.
    fn route(
        &self,
        task: &str,
        kind: Kind,
        kwargs: &Map,
        options: &Map,
    ) -> Result<Route, CanvasError> {
        let exchange = signature::text(options, "exchange")?;
        let routing_key = signature::text(options, "routing_key")?;
        if let (Some(exchange), Some(routing_key)) = (exchange, routing_key) {
            return Ok(Route { exchange, routing_key });
        }
        if let Some(queue) = signature::text(options, "queue")? {
            return Ok(Route::queue(&queue));
        }
        let mapped = kwargs.get("task").and_then(|task| task.get("task")).and_then(Value::as_str);
        let name = match kind {
            // Whose plugin has the mapped task can map it.
            Kind::Map | Kind::Starmap => mapped.unwrap_or(task),
            _ => task,
        };
        Ok((self.sender.route)(name))
    }

    /// When it is due, and when it is not wanted any more.
    fn times(&self, options: &Map) -> Result<(Option<Timestamp>, Option<Timestamp>), CanvasError> {
        let countdown = match options.get("countdown") {
            Some(countdown) if countdown.is_truthy() => Some(self.after("countdown", countdown)?),
            _ => None,
        };
        let eta = match options.get("eta") {
            _ if countdown.is_some() => countdown,
            Some(eta) if eta.is_truthy() => Some(instant("eta", eta)?),
            _ => None,
        };
        let expires = match options.get("expires") {
            Some(seconds @ (Value::Int(_) | Value::Big(_) | Value::Float(_))) => {
                Some(self.after("expires", seconds)?)
            }
            Some(expires) if expires.is_truthy() => Some(instant("expires", expires)?),
            _ => None,
        };
        Ok((eta, expires))
    }

    fn after(&self, key: &str, seconds: &Value) -> Result<Timestamp, CanvasError> {
        let seconds = seconds.as_f64().ok_or_else(|| wrong_option(key, seconds, "a number"))?;
        let duration = jiff::SignedDuration::try_from_secs_f64(seconds).ok();
        let at = duration.and_then(|duration| self.sender.now.checked_add(duration).ok());
        let at = at.ok_or_else(|| CanvasError(format!("option `{key}` is out of range")))?;
        Ok(Timestamp::new(at))
    }

    fn content(&self, options: &Map) -> Result<Content, CanvasError> {
        let mut content = self.sender.content;
        if let Some(name) = signature::text(options, "serializer")? {
            content.serializer = Serializer::named(&name)
                .ok_or_else(|| CanvasError(format!("serializer `{name}` is not supported")))?;
        }
        if let Some(name) = signature::text(options, "compression")? {
            let known = Compression::named(&name)
                .ok_or_else(|| CanvasError(format!("compression `{name}` is not supported")))?;
            content.compression = Some(known);
        }
        Ok(content)
    }
}

fn embed(options: &mut Map) -> Result<Embed, CanvasError> {
    let mut list = |key: &str| match options.shift_remove(key).unwrap_or_default() {
        Value::Null => Ok(None),
        list @ Value::List(_) => Ok(Some(list)),
        single @ Value::Map(_) => Ok(Some(vec![single].into())),
        other => Err(wrong_option(key, &other, "a list of signatures")),
    };
    Ok(Embed {
        callbacks: list("link")?,
        errbacks: list("link_error")?,
        chain: list("chain")?.map(Chain::Read),
        chord: match options.shift_remove("chord").unwrap_or_default() {
            Value::Null => None,
            chord @ Value::Map(_) => Some(chord),
            other => return Err(wrong_option("chord", &other, "a signature")),
        },
        other: Map::new(),
    })
}

fn set_stamps(message: &mut Message, options: &Map) -> Result<(), CanvasError> {
    let Some(names) = options.get("stamped_headers").filter(|names| !names.is_null()) else {
        return Ok(());
    };
    let names = signature::list(names.clone(), "option `stamped_headers`")?;
    let names = names.into_iter().map(|name| match name {
        Value::Text(name) => Ok(name),
        other => Err(wrong("a name in option `stamped_headers`", &other, "str")),
    });
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let stamp = |name: &String| options.get(name).cloned().unwrap_or_default();
    message.stamps = names.iter().map(|name| (name.clone(), stamp(name))).collect();
    message.stamped_headers = Some(names);
    Ok(())
}

fn set_headers(message: &mut Message, options: &Map) -> Result<(), CanvasError> {
    let headers = options.get("headers").cloned().unwrap_or_default();
    message.headers = signature::object(headers, "option `headers`")?;
    message.headers.retain(|key, _| !OWN_HEADERS.contains(&key.as_str()));
    message.headers = message.custom_headers();
    Ok(())
}

/// An option that is a small whole number.
pub(super) fn small(options: &Map, key: &str) -> Result<Option<u32>, CanvasError> {
    match options.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number.map(Some).ok_or_else(|| wrong_option(key, value, "a small whole number"))
        }
    }
}

/// Zero means no limit, as null does.
fn limit(options: &Map, key: &str) -> Result<Option<f64>, CanvasError> {
    match options.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let seconds = value.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
            let seconds = seconds.ok_or_else(|| wrong_option(key, value, "seconds"))?;
            Ok((seconds > 0.0).then_some(seconds))
        }
    }
}

/// Zero unless it says otherwise, as Celery's clients send it.
fn priority(options: &Map) -> Result<u8, CanvasError> {
    match options.get("priority") {
        None | Some(Value::Null) => Ok(0),
        Some(Value::Int(priority)) => Ok((*priority).clamp(0, 255) as u8), // in range by now
        Some(other) => Err(wrong_option("priority", other, "a whole number")),
    }
}

fn instant(key: &str, value: &Value) -> Result<Timestamp, CanvasError> {
    match value {
        Value::Text(text) | Value::Tagged(Tag::Datetime, text) => Timestamp::parse(text),
        _ => None,
    }
    .ok_or_else(|| CanvasError(format!("option `{key}` is {}, not an instant", repr::repr(value))))
}

fn wrong_option(key: &str, value: &Value, expected: &str) -> CanvasError {
    wrong(&format!("option `{key}`"), value, expected)
}
