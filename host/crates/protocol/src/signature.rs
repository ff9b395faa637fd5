//! A signature opened one level deep; what nests in it stays the value it came as (PROTOCOL 5.1).

use umbel_value::{Map, Tag, Value};

use crate::canvas::CanvasError;
use crate::names;

/// A task, or a canvas of tasks, that can be applied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Signature {
    pub(crate) kind: Kind,
    pub(crate) task: String,
    pub(crate) args: Vec<Value>,
    pub(crate) kwargs: Map,
    pub(crate) options: Map,
    pub(crate) immutable: bool,
    /// Keys that have no field above.
    pub(crate) other: Map,
}

/// What a signature is, from its `subtask_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Task,
    Chain,
    Group,
    Chord,
    Map,
    Starmap,
    Chunks,
}

impl Kind {
    pub(crate) fn read(value: &Value) -> Result<Kind, CanvasError> {
        let name = match value {
            Value::Null => return Ok(Kind::Task),
            Value::Text(name) => name.as_str(),
            other => return Err(wrong("subtask_type", other, "text")),
        };
        Ok(match name {
            "" => Kind::Task,
            "chain" => Kind::Chain,
            "group" => Kind::Group,
            "chord" => Kind::Chord,
            "xmap" => Kind::Map,
            "xstarmap" => Kind::Starmap,
            "chunks" => Kind::Chunks,
            other => return Err(CanvasError(format!("unknown subtask type `{other}`"))),
        })
    }

    fn as_str(self) -> Option<&'static str> {
        match self {
            Kind::Task => None,
            Kind::Chain => Some("chain"),
            Kind::Group => Some("group"),
            Kind::Chord => Some("chord"),
            Kind::Map => Some("xmap"),
            Kind::Starmap => Some("xstarmap"),
            Kind::Chunks => Some("chunks"),
        }
    }
}

impl Signature {
    pub(crate) fn read(value: Value) -> Result<Signature, CanvasError> {
        let Value::Map(mut map) = value else { return Err(wrong("a signature", &value, "dict")) };
        let mut take = |key: &str| map.shift_remove(key).unwrap_or_default();
        let (task, kind) = (take("task"), Kind::read(&take("subtask_type"))?);
        let Value::Text(task) = task else {
            return Err(wrong("`task` of a signature", &task, "str"));
        };
        let signature = Signature {
            kind,
            task,
            args: list(take("args"), "`args` of a signature")?,
            kwargs: object(take("kwargs"), "`kwargs` of a signature")?,
            options: object(take("options"), "`options` of a signature")?,
            immutable: take("immutable").is_truthy(),
            other: map,
        };
        Ok(signature)
    }

    pub(crate) fn new(kind: Kind, task: &str, kwargs: Map) -> Signature {
        Signature {
            kind,
            task: task.to_owned(),
            args: Vec::new(),
            kwargs,
            options: Map::new(),
            // A map takes nothing but its own items.
            immutable: matches!(kind, Kind::Map | Kind::Starmap | Kind::Chunks),
            other: Map::new(),
        }
    }

    pub(crate) fn group(tasks: Vec<Signature>) -> Signature {
        let mut group = Signature::new(Kind::Group, names::GROUP, Map::new());
        group.set_tasks(tasks);
        group
    }

    pub(crate) fn chain(tasks: Vec<Signature>) -> Signature {
        let mut chain = Signature::new(Kind::Chain, names::CHAIN, Map::new());
        chain.set_tasks(tasks);
        chain
    }

    pub(crate) fn chord(header: Signature, body: Signature) -> Signature {
        let kwargs = [
            ("kwargs".to_owned(), Value::Map(Map::new())),
            ("header".to_owned(), header.into_value()),
            ("body".to_owned(), body.into_value()),
        ];
        Signature::new(Kind::Chord, names::CHORD, kwargs.into_iter().collect())
    }

    pub(crate) fn into_value(self) -> Value {
        let mut map = Map::with_capacity(6 + self.other.len());
        for (key, value) in [
            ("task", self.task.into()),
            ("args", self.args.into()),
            ("kwargs", self.kwargs.into()),
            ("options", self.options.into()),
            ("subtask_type", self.kind.as_str().into()),
            ("immutable", self.immutable.into()),
        ] {
            map.insert(key.to_owned(), value);
        }
        map.extend(self.other);
        Value::Map(map)
    }

    /// Takes the tasks of a chain or a group out.
    pub(crate) fn take_tasks(&mut self) -> Result<Vec<Signature>, CanvasError> {
        let tasks = self.kwargs.get_mut("tasks").map(std::mem::take).unwrap_or_default();
        let what = format!("`tasks` of {}", self.task);
        list(tasks, &what)?.into_iter().map(Signature::read).collect()
    }

    pub(crate) fn set_tasks(&mut self, tasks: Vec<Signature>) {
        let tasks = tasks.into_iter().map(Signature::into_value).collect();
        self.kwargs.insert("tasks".to_owned(), tasks);
    }

    /// Takes the body of a chord out.
    pub(crate) fn take_body(&mut self) -> Result<Signature, CanvasError> {
        match self.kwargs.get_mut("body").map(std::mem::take).unwrap_or_default() {
            Value::Null => Err(CanvasError("a chord has no body".to_owned())),
            body => Signature::read(body),
        }
    }

    pub(crate) fn set_body(&mut self, body: Signature) {
        self.kwargs.insert("body".to_owned(), body.into_value());
    }

    /// Takes the header of a chord out, as a group whatever it was written as.
    pub(crate) fn take_header(&mut self) -> Result<Signature, CanvasError> {
        match self.kwargs.get_mut("header").map(std::mem::take).unwrap_or_default() {
            Value::Null => Ok(Signature::group(Vec::new())),
            Value::List(tasks) => {
                let tasks = tasks.into_iter().map(Signature::read);
                Ok(Signature::group(tasks.collect::<Result<_, _>>()?))
            }
            single => {
                let header = Signature::read(single)?;
                let is_group = header.kind == Kind::Group;
                Ok(if is_group { header } else { Signature::group(vec![header]) })
            }
        }
    }

    pub(crate) fn set_header(&mut self, header: Signature) {
        self.kwargs.insert("header".to_owned(), header.into_value());
    }

    /// Adds a callback, or an error callback, to the option `key`; once.
    pub(crate) fn append(&mut self, key: &str, callback: &Value) {
        let callbacks = self.options.entry(key.to_owned()).or_default();
        let mut list = match std::mem::take(callbacks) {
            Value::Null => Vec::new(),
            Value::List(list) => list,
            single => vec![single],
        };
        if !list.contains(callback) {
            list.push(callback.clone());
        }
        *callbacks = Value::List(list);
    }
}

/// The options of `own`, overridden by those of a call that are not null. What groups and stamps a
/// signature says itself stays.
pub(crate) fn merged(mut own: Map, call: Map) -> Map {
    let kept: Vec<String> = own
        .get("stamped_headers")
        .and_then(Value::as_list)
        .unwrap_or_default()
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .chain(["group_id".to_owned(), "stamped_headers".to_owned()])
        .filter(|key| own.contains_key(key))
        .collect();
    for (key, value) in call {
        if !value.is_null() && !kept.contains(&key) {
            own.insert(key, value);
        }
    }
    own
}

/// An option that is a text, like an id; the empty text counts as none.
pub(crate) fn text(options: &Map, key: &str) -> Result<Option<String>, CanvasError> {
    match options.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text) | Value::Tagged(Tag::Uuid, text)) => {
            Ok(Some(text.clone()).filter(|text| !text.is_empty()))
        }
        Some(other) => Err(wrong(&format!("option `{key}`"), other, "str")),
    }
}

/// An option that is a list, or one item of it.
pub(crate) fn several(options: &Map, key: &str) -> Vec<Value> {
    match options.get(key) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::List(items)) => items.clone(),
        Some(single) => vec![single.clone()],
    }
}

pub(crate) fn list(value: Value, what: &str) -> Result<Vec<Value>, CanvasError> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::List(items) => Ok(items),
        other => Err(wrong(what, &other, "list")),
    }
}

pub(crate) fn object(value: Value, what: &str) -> Result<Map, CanvasError> {
    match value {
        Value::Null => Ok(Map::new()),
        Value::Map(map) => Ok(map),
        other => Err(wrong(what, &other, "dict")),
    }
}

pub(crate) fn wrong(what: &str, value: &Value, expected: &str) -> CanvasError {
    CanvasError(format!("{what} is {}, not {expected}", value.type_name()))
}
