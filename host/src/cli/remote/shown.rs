//! What workers answer, as people read it.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use umbel_protocol::control::{Answer, Answers, Manual};
use umbel_protocol::time::epoch;
use umbel_value::Value;

use super::super::render::{clipped, one_line, painted, printable, table};
use super::error;
use crate::fault::redact;
use crate::out;
use crate::settings::units::{about_size, show_duration};

/// Characters of a task's arguments that are shown in a table.
const MOST_ARGUMENTS: usize = 60;

/// Prints all answers to a command; complaints go to standard error.
pub(super) fn answers(manual: &Manual, answers: &[Answer]) -> io::Result<()> {
    let good: Vec<&Answer> = answers.iter().filter(|answer| error(answer).is_none()).collect();
    if !good.is_empty() {
        match manual.answer {
            Answers::Line | Answers::Nothing => lines(&good)?,
            Answers::Lines => lists(&good)?,
            Answers::Tasks => tasks(&good)?,
            Answers::Scheduled => scheduled(&good)?,
            Answers::Queues => queues(&good)?,
            Answers::States => states(&good)?,
            Answers::Stats => stats(&good)?,
            Answers::Fields => fields(&good)?,
            Answers::Text => texts(&good)?,
        }
    }
    for answer in answers {
        if let Some(what) = error(answer) {
            out::note(&redact(&one_line(&format!("error: {}: {what}", answer.node))));
        }
    }
    Ok(())
}

fn head<const N: usize>(names: [&str; N]) -> Vec<[String; N]> {
    vec![names.map(str::to_owned)]
}

/// One row a worker.
fn lines(answers: &[&Answer]) -> io::Result<()> {
    let mut rows = head(["NODE", "ANSWER"]);
    rows.extend(answers.iter().map(|answer| {
        let value = &answer.value;
        let said = value.get("ok").or(value.get("clock")).unwrap_or(value);
        [answer.node.clone(), text(said)]
    }));
    table(&rows)
}

/// A worker's name, then what it has, one a line.
fn lists(answers: &[&Answer]) -> io::Result<()> {
    for answer in answers {
        let items = answer.value.as_list().unwrap_or_default();
        title(answer, &format!(" ({})", items.len()))?;
        for item in items {
            out::line(&format!("  {}", one_line(&text(item))))?;
        }
    }
    Ok(())
}

fn tasks(answers: &[&Answer]) -> io::Result<()> {
    let now = Timestamp::now();
    let mut rows = head(["NODE", "TASK", "ID", "FOR", "QUEUE", "ARGUMENTS"]);
    for (answer, task) in each(answers) {
        let since = task.get("time_start").and_then(Value::as_f64);
        let age = since.map(|since| age(now, since)).unwrap_or_default();
        rows.push([
            answer.node.clone(),
            field(task, "name"),
            field(task, "id"),
            age,
            queue(task),
            arguments(task),
        ]);
    }
    table_or_nothing(&rows)
}

fn scheduled(answers: &[&Answer]) -> io::Result<()> {
    let mut rows = head(["NODE", "ETA", "TASK", "ID", "QUEUE", "ARGUMENTS"]);
    for (answer, entry) in each(answers) {
        let none = Value::Null;
        let task = entry.get("request").unwrap_or(&none);
        rows.push([
            answer.node.clone(),
            field(entry, "eta"),
            field(task, "name"),
            field(task, "id"),
            queue(task),
            arguments(task),
        ]);
    }
    table_or_nothing(&rows)
}

fn queues(answers: &[&Answer]) -> io::Result<()> {
    let mut rows = head(["NODE", "QUEUE", "EXCHANGE", "TYPE", "ROUTING KEY"]);
    for (answer, queue) in each(answers) {
        let exchange = |key: &str| queue.get("exchange").map(|it| field(it, key));
        rows.push([
            answer.node.clone(),
            field(queue, "name"),
            exchange("name").unwrap_or_default(),
            exchange("type").unwrap_or_default(),
            field(queue, "routing_key"),
        ]);
    }
    table_or_nothing(&rows)
}

fn states(answers: &[&Answer]) -> io::Result<()> {
    let mut rows = head(["NODE", "ID", "STATE", "TASK"]);
    for answer in answers {
        for (id, told) in answer.value.as_map().into_iter().flatten() {
            let told = told.as_list().unwrap_or_default();
            let part = |at: usize| told.get(at).cloned().unwrap_or_default();
            rows.push([answer.node.clone(), id.clone(), text(&part(0)), field(&part(1), "name")]);
        }
    }
    table_or_nothing(&rows)
}

fn stats(answers: &[&Answer]) -> io::Result<()> {
    let mut rows = head(["NODE", "PID", "UPTIME", "SLOTS", "PREFETCH", "BEGUN", "CPU", "MEMORY"]);
    let mut totals = head(["NODE", "TASK", "BEGUN"]);
    for answer in answers {
        let stats = &answer.value;
        let used = |key: &str| stats.get("rusage").and_then(|used| used.get(key)?.as_f64());
        let cpu = used("utime").zip(used("stime")).map(|(user, system)| user + system);
        let total = stats.get("total").and_then(Value::as_map);
        let begun =
            total.into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum::<u64>();
        let uptime = stats.get("uptime").and_then(Value::as_u64);
        let slots = stats.get("pool").map(|pool| field(pool, "max-concurrency"));
        rows.push([
            answer.node.clone(),
            field(stats, "pid"),
            uptime.map(|seconds| show_duration(Duration::from_secs(seconds))).unwrap_or_default(),
            slots.unwrap_or_default(),
            field(stats, "prefetch_count"),
            begun.to_string(),
            cpu.map(|seconds| format!("{seconds:.1}s")).unwrap_or_default(),
            // The system counts in KiB.
            used("maxrss").map(|kib| about_size(kib as u64 * 1024)).unwrap_or_default(),
        ]);
        for (task, count) in total.into_iter().flatten() {
            totals.push([answer.node.clone(), task.clone(), text(count)]);
        }
    }
    table(&rows)?;
    if totals.len() > 1 {
        out::line("")?;
        table(&totals)?;
    }
    Ok(())
}

/// A worker's name, then its fields in a column.
fn fields(answers: &[&Answer]) -> io::Result<()> {
    for answer in answers {
        title(answer, "")?;
        let told = answer.value.as_map().into_iter().flatten().collect::<Vec<_>>();
        let width = told.iter().map(|(key, _)| key.chars().count()).max().unwrap_or_default();
        for (key, value) in told {
            let line = format!("  {key:width$}  {}", text(value));
            out::line(&redact(&one_line_kept(&line)))?;
        }
    }
    Ok(())
}

fn texts(answers: &[&Answer]) -> io::Result<()> {
    for answer in answers {
        title(answer, "")?;
        let said = text(answer.value.get("ok").unwrap_or(&answer.value));
        for line in printable(&said).trim().lines() {
            out::line(redact(&format!("  {line}")).trim_end())?;
        }
    }
    Ok(())
}

fn title(answer: &Answer, more: &str) -> io::Result<()> {
    out::line(&format!("{}{more}", painted(&one_line(&answer.node), "1;36")))
}

/// Like [`one_line`], with the space at its beginning.
fn one_line_kept(line: &str) -> String {
    format!("  {}", one_line(line).trim_start())
}

/// A table, unless it is nothing but its head.
fn table_or_nothing<const N: usize>(rows: &[[String; N]]) -> io::Result<()> {
    match rows.len() {
        1 => out::line("- empty -"),
        _ => table(rows),
    }
}

/// Every item of every answer that is a list.
fn each<'a>(answers: &'a [&Answer]) -> impl Iterator<Item = (&'a Answer, &'a Value)> {
    answers.iter().flat_map(|answer| {
        let items = answer.value.as_list().unwrap_or_default();
        items.iter().map(move |item| (*answer, item))
    })
}

fn queue(task: &Value) -> String {
    task.get("delivery_info").map(|route| field(route, "routing_key")).unwrap_or_default()
}

/// Positional ones, then `name=value`.
fn arguments(task: &Value) -> String {
    let args = task.get("args").and_then(Value::as_list).unwrap_or_default();
    let kwargs = task.get("kwargs").and_then(Value::as_map).into_iter().flatten();
    let named = kwargs.map(|(key, value)| format!("{key}={}", value.to_json()));
    let all: Vec<String> = args.iter().map(Value::to_json).chain(named).collect();
    clipped(&all.join(", "), MOST_ARGUMENTS)
}

/// How long ago that was.
fn age(now: Timestamp, since: f64) -> String {
    let seconds = (epoch(now) - since).clamp(0.0, 1e9);
    show_duration(Duration::from_secs(seconds as u64))
}

fn field(value: &Value, key: &str) -> String {
    value.get(key).map(text).unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Text(text) => text.clone(),
        other => other.to_json(),
    }
}
