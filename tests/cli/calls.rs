//! What `umbel call` can ask for.

use crate::embedded::worker;
use crate::{folder, put, umbel};

#[test]
fn calls_are_sent_as_they_were_asked_for() {
    let folder = folder("");
    put(folder.path(), "tasks", "tasks");
    let mut worker = worker(folder.path(), &["-Q", "celery,other"]);
    for (words, shown) in [
        (
            &["tasks.add", "2", "3", "--chain", "tasks.add", "10", "--chain", "tasks.echo"]
                as &[_],
            "15\n",
        ),
        (&["tasks.add", "2", "3", "--chain", "tasks.add", "y=-5"], "0\n"),
        (&["tasks.add", "1", "1", "--countdown", "300ms"], "2\n"),
        (&["tasks.add", "1", "1", "--eta", "2020-01-31T12:00:00Z"], "2\n"),
        (&["tasks.add", "1", "1", "--eta", "2020-01-31T12:00:00", "--expires", "60"], "2\n"),
        (&["tasks.add", "4", "4", "--queue", "other", "--priority", "9"], "8\n"),
        (&["tasks.echo", "hi", "--serializer", "msgpack", "--compression", "zstd"], "hi\n"),
        (&["tasks.echo", "hi", "--serializer", "yaml", "--compression", "bzip2"], "hi\n"),
    ] {
        let wait = ["--wait", "--timeout", "10s"];
        umbel(folder.path(), &[&["call"], words, &wait].concat()).said(&[shown]);
    }
    umbel(folder.path(), &["call", "tasks.add", "1", "1", "--link", "tasks.echo"]).said(&[]);
    worker.await_log("tasks.echo[", crate::SOON);
    let failing = ["call", "tasks.fail", "no", "--link-error", "tasks.whoami"];
    umbel(folder.path(), &failing).said(&[]);
    worker.await_log("tasks.whoami[", crate::SOON);
    let chain = ["call", "tasks.fail", "no", "--chain", "tasks.echo", "-w", "--timeout", "10s"];
    let ended = umbel(folder.path(), &chain);
    assert!(ended.text.contains("TaskError: no") && ended.code == 1, "{}", ended.text);
    let late = ["call", "tasks.echo", "1", "--expires", "2020-01-31", "-w", "--timeout", "10s"];
    let ended = umbel(folder.path(), &late);
    assert!(ended.text.contains("TaskRevokedError") && ended.code == 1, "{}", ended.text);
}

#[test]
fn routes_decide_where_a_call_goes() {
    let folder = folder("routes = { 'tasks.e*' = 'texts' }\nqueues = ['numbers', 'texts']\n");
    put(folder.path(), "tasks", "tasks");
    let _texts = worker(folder.path(), &["-Q", "texts"]);
    let wait = ["--wait", "--timeout", "10s"];
    umbel(folder.path(), &[&["call", "tasks.echo", "hi"] as &[_], &wait].concat()).said(&["hi\n"]);
    let numbers = ["call", "tasks.add", "1", "1", "--wait", "--timeout", "300ms"];
    umbel(folder.path(), &numbers).refused(75, &["within 300ms"]);
}

#[test]
fn mistakes_in_calls_are_named() {
    let folder = folder("");
    for (words, part) in [
        (["--serializer", "pickle"], "`pickle` runs code"),
        (["--compression", "rar"], "`rar` is none of gzip"),
        (["--eta", "soon"], "`soon` is no moment"),
        (["--countdown", "5 parsecs"], "`parsecs` is no unit of time"),
        (["--expires", "never"], "not a duration"),
        (["--priority", "300"], "`300` is no priority"),
        (["--queue", "celery.pidbox"], "`celery.pidbox` is not for tasks"),
        (["--args", "{}"], "--args is not a JSON array"),
    ] {
        let words = [&["call", "tasks.add"] as &[_], &words].concat();
        umbel(folder.path(), &words).refused(2, &[part]);
    }
    umbel(folder.path(), &["call", "tasks.add", "1", "--chain"]).refused(2, &["--chain"]);
}
