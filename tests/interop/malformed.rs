//! Messages that no well-meaning client sends.

use serde_json::json;
use umbel_harness::eventually::{PATIENCE, eventually, expect_equal};
use umbel_harness::python::Peer;

use crate::scene::{Broker, Pair, Scene, Stage};

/// Statements that publish one bad message each. `task` gives complete headers.
const BAD: &[&str] = &[
    // Bodies that cannot be read.
    "publish(b'{not json', task())",
    "publish(b'', task())",
    "publish(b'\\xff\\xfe\\x00', task())",
    "publish(b'[' * 100_000, task())",
    "publish(b'[[1, 2], {}, {}', task())",
    "publish(b'[[{\"__type__\": \"nope\", \"__value__\": 1}, 2], {}, {}]', task())",
    "publish(b'not zlib at all', task(compression='application/x-gzip'))",
    "publish(good, task(compression='application/x-nope'))",
    // Bodies of the wrong shape.
    "publish(b'7', task())",
    "publish(b'null', task())",
    "publish(b'\"text\"', task())",
    "publish(b'{\"a\": 1}', task())",
    "publish(b'[1]', task())",
    "publish(b'[[1, 2], {}]', task())",
    "publish(b'[[1, 2], [], {}]', task())",
    "publish(b'[\"ab\", {}, {}]', task())",
    "publish(b'[{}, [], []]', task())",
    "publish(b'[[1, 2], {}, 7]', task())",
    "publish(b'[[1, 2], {}, {\"callbacks\": 7, \"chain\": \"x\", \"chord\": []}]', task())",
    // Content that is not accepted.
    "publish(__import__('pickle').dumps([[1, 2], {}, {}]), task(), content_type='application/x-python-serialize', content_encoding='binary')",
    "publish(b'- [1, 2]', task(), content_type='application/x-yaml')",
    "publish(good, task(), content_type='application/x-unheard-of')",
    "publish(good, task(), content_encoding='utf-99')",
    // No task, or none that anybody can tell.
    "publish(b'{}')",
    "publish(b'[]')",
    "publish(good, {'unrelated': 1})",
    "publish(good, {'task': 'tasks.add'})",
    "publish(good, task(task=None))",
    "publish(good, task(task=7))",
    "publish(good, task(task=''))",
    "publish(good, task(task='x' * 10_000))",
    "publish(good, task(id=None))",
    "publish(good, task(id=5))",
    "publish(b'{\"task\": \"tasks.add\", \"args\": [1, 2]}')",
    "publish(b'{\"task\": \"tasks.add\", \"id\": \"p1\", \"args\": 7, \"kwargs\": [1]}')",
    "publish(b'{\"task\": {}, \"id\": []}')",
    // Headers of the wrong type.
    "publish(good, task(eta='the day after'))",
    "publish(good, task(eta=5))",
    "publish(good, task(expires='never'))",
    "publish(good, task(expires=[1]))",
    "publish(good, task(retries=-1))",
    "publish(good, task(retries='many'))",
    "publish(good, task(timelimit='text'))",
    "publish(good, task(timelimit=[{}, []]))",
    "publish(good, task(timelimit=[-1, -1]))",
    "publish(good, task(group=[1], group_index='first'))",
    "publish(good, task(root_id=7, parent_id={}))",
    "publish(good, task(stamps=[1], stamped_headers={'a': 1}))",
    "publish(good, task(argsrepr=7, kwargsrepr=[], origin={}, ignore_result='maybe'))",
    "publish(good, task(replaced_task_nesting='deep', shadow=9))",
    // Properties of odd values.
    "publish(good, task(), reply_to='nobody-listens-here', correlation_id='')",
    "publish(good, task(), reply_to='\\n\\x00')",
    "publish(good, task(**{'h%d' % i: 'x' * 100 for i in range(500)}))",
];

const HELPERS: &str = "
good = b'[[1, 2], {}, {\"callbacks\": null, \"errbacks\": null, \"chain\": null, \"chord\": null}]'
def task(**changed):
    return {'lang': 'py', 'task': 'tasks.add', 'id': str(uuid.uuid4()), **changed}
";

pub(crate) fn bad_messages_neither_crash_nor_loop_nor_stall(scene: &Scene) {
    let stage = Stage::set(scene.stage.pair);
    let mut umbel = stage.worker().start();
    let mut python = stage.peer();
    python.exec(HELPERS);
    for message in BAD {
        python.exec(message);
    }
    assert_eq!(python.eval("call('tasks.add', 2, 3)"), json!(5), "the worker goes on");
    await_empty(&stage, &mut python);
    // What the worker still held would come back to the queue now.
    assert!(umbel.stop().success());
    assert_eq!(python.eval("waiting()"), json!(0));
}

/// Anybody who reaches the Redis can push anything into the list.
pub(crate) fn what_is_no_envelope_at_all_is_survived(pair: Pair) {
    let stage = Stage::set(pair);
    let mut umbel = stage.worker().start();
    let mut python = stage.peer();
    python.exec(
        "def push(text):\n\
         \x20   with app.connection_for_write() as connection:\n\
         \x20       connection.channel().client.lpush('celery', text)\n\
         for text in (b'', b'rubbish', b'\\xff\\x00', b'{}', b'[]', b'null', b'{\"body\": 7}',\n\
         \x20            b'{\"body\": \"!\", \"properties\": {\"body_encoding\": \"base64\", \"delivery_tag\": \"t\"}}',\n\
         \x20            b'{\"body\": \"W10=\", \"headers\": [], \"properties\": {\"delivery_tag\": 5}}',\n\
         \x20            b'{\"body\": \"W10=\", \"properties\": {\"delivery_tag\": \"u\", \"delivery_info\": 3}}',\n\
         \x20            b'[' * 1_000_000, b'{\"headers\": {\"h\": \"' + b'x' * 10_000_000 + b'\"}}'):\n\
         \x20   push(text)",
    );
    assert_eq!(python.eval("call('tasks.add', 2, 3)"), json!(5), "the worker goes on");
    await_empty(&stage, &mut python);
    assert!(umbel.stop().success());
    assert_eq!(python.eval("waiting()"), json!(0));
}

fn await_empty(stage: &Stage, python: &mut Peer) {
    eventually("the queue is empty", PATIENCE, || {
        expect_equal(python.eval("waiting()"), json!(0))?;
        match stage.pair.broker {
            Broker::Redis => expect_equal(python.eval("held()"), json!(0)),
            Broker::RabbitMq => Ok(json!(0)),
        }
    });
}
