//! Components that are made to exhaust the compiler, and plugins that are pinned or signed.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use minisign::KeyPair;
use rustix::process::{Pid, Signal, kill_process};
use umbel_harness::eventually::eventually;
use umbel_harness::paths;
use umbel_harness::process::Process;
use umbel_harness::rabbitmq::RabbitMq;

use crate::embedded::worker;
use crate::hardening::{children, compilers};
use crate::{SOON, command, folder, put, run, umbel};

/// A number as binaries spell it.
fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn sized(content: &[u8]) -> Vec<u8> {
    [number(content.len()), content.to_vec()].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], sized(content)].concat()
}

/// A component around a module of functions that take so many numbers and have such bodies.
fn component(params: usize, bodies: &[Vec<u8>]) -> Vec<u8> {
    let signature = [vec![1, 0x60], number(params), vec![0x7f; params], vec![0]].concat();
    let count = number(bodies.len());
    let types = [count.clone(), vec![0; bodies.len()]].concat();
    let code: Vec<u8> = bodies.iter().flat_map(|body| sized(body)).collect();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &signature),
        section(3, &types),
        section(10, &[count, code].concat()),
    ];
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module.concat())].concat()
}

fn body(locals: usize, code: &[u8]) -> Vec<u8> {
    [vec![1], number(locals), vec![0x7f], code.to_vec(), vec![0x0b]].concat()
}

/// Thousands of nested blocks, and a table of jumps to the ends of all of them.
fn huge_table() -> Vec<u8> {
    const BLOCKS: usize = 20_000;
    let targets: Vec<u8> = (0..3 * BLOCKS).flat_map(|at| number(at % BLOCKS)).collect();
    let mut code = [0x02, 0x40].repeat(BLOCKS);
    code.extend([0x20, 0, 0x0e]);
    code.extend([number(3 * BLOCKS), targets, vec![0]].concat());
    for at in 0..BLOCKS {
        let (from, to) = (1 + (at % 50) as u8, 1 + (at * 7 % 50) as u8);
        code.extend([0x0b, 0x20, from, 0x41, (at % 60) as u8, 0x6a, 0x21, to]);
    }
    component(1, &vec![body(60, &code); 40])
}

/// As much straight code as a function may have, all of it calls.
fn huge_function() -> Vec<u8> {
    component(1, &[body(1, &[0x20, 0, 0x10, 0].repeat(1_800_000))])
}

#[test]
fn a_component_that_exhausts_the_compiler_is_refused_and_the_rest_is_served() {
    let check = |limits: &str, content: Vec<u8>, said: &[&str]| {
        let folder = folder(&format!("[compile]\n{limits}\n"));
        fs::write(folder.path().join("plugins/bomb.wasm"), content).expect("it is writable");
        let refused = umbel(folder.path(), &["check", "plugins/bomb.wasm"]);
        refused.refused(1, &[said, &["bomb.wasm"][..]].concat());
    };
    let time = ["longer to compile than 1s", "`time` in [compile]"];
    let memory = ["memory to compile than 256MiB", "`memory` in [compile]"];
    check("time = '1s'", huge_table(), &time);
    check("memory = '256MiB'", huge_function(), &memory);
    check("", component(1, &[body(1_000_000, &[])]), &["too many locals"]);
    check("", component(50_000, &[body(1, &[])]), &["params size is out of bounds"]);

    let folder = folder("[compile]\ntime = '1s'\n");
    let here = folder.path();
    put(here, "tasks", "tasks");
    fs::write(here.join("plugins/bomb.wasm"), huge_table()).expect("it is writable");
    umbel(here, &["worker", "--allow-root"]).refused(1, &time);
    let worker = worker(here, &["--keep-going"]);
    assert!(worker.log().contains(time[0]), "{}", worker.log());
    umbel(here, &["call", "tasks.add", "2", "3", "--wait", "--timeout", "20s"]).said(&["5\n"]);
}

/// RabbitMQ and we tell each other once a second that we are there; compiling takes four.
#[test]
fn the_broker_is_answered_while_plugins_compile() {
    let folder = folder("[compile]\ntime = '4s'\n");
    let here = folder.path();
    put(here, "tasks", "tasks");
    fs::write(here.join("plugins/bomb.wasm"), huge_table()).expect("it is writable");
    let server = RabbitMq::shared();
    let url = server.url(&server.fresh_vhost());
    let worker = worker(here, &["--keep-going", "-b", &url, "--heartbeat", "1s"]);
    let log = worker.log();
    assert!(log.contains("longer to compile than 4s"), "{log}");
    assert!(!log.contains("lost the broker"), "{log}");
}

fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).expect("no process has the number 0");
    kill_process(pid, Signal::KILL).expect("it lives");
}

/// The process that is started in the place of `former` by the same one.
fn successor(parent: i32, former: i32) -> i32 {
    eventually("another one is started", SOON, || match children(parent)[..] {
        [pid] if pid != former => Ok(pid),
        ref other => Err(format!("{other:?}")),
    })
}

/// Kills whatever a helper compiles in until the worker believes that a file does not load.
fn kill_children(helper: i32, worker: &Process, file: &str) {
    let told = format!("{file}` was being compiled by a process that somebody killed");
    eventually("it is given up", SOON, || {
        for child in children(helper) {
            // One may have ended by itself.
            let _ = kill_process(Pid::from_raw(child).expect("a number"), Signal::KILL);
        }
        worker.log().contains(&told).then_some(()).ok_or_else(|| worker.log())
    });
}

#[test]
fn a_worker_outlives_the_death_of_whoever_compiles_for_it() {
    let folder = folder("[compile]\ntime = '60s'\n");
    let here = folder.path();
    put(here, "tasks", "tasks");
    let mut worker = worker(here, &[]);
    let [guard, helper] = compilers(worker.pid());

    kill(helper);
    put(here, "images", "images");
    worker.await_log("plugin images@", SOON);

    let helper = successor(guard, helper);
    fs::write(here.join("plugins/bomb.wasm"), huge_table()).expect("it is writable");
    kill_children(helper, &worker, "bomb.wasm");

    fs::write(here.join("plugins/another.wasm"), huge_table()).expect("it is writable");
    eventually("it compiles", SOON, || {
        children(helper).first().map(drop).ok_or_else(|| worker.log())
    });
    kill(helper);
    worker.await_log("the process that compiles plugins has died; another one tries", SOON);
    let helper = successor(guard, helper);
    kill_children(helper, &worker, "another.wasm");

    kill(guard);
    kill(helper);
    // Nobody has ever compiled it: it is in no cache.
    fs::write(here.join("plugins/late.wasm"), huge_table()).expect("it is writable");
    worker.await_log("late.wasm` cannot be compiled: the process that does it has been", SOON);
    umbel(here, &["call", "tasks.add", "2", "3", "--wait", "--timeout", "20s"]).said(&["5\n"]);
}

#[test]
fn a_component_is_validated_before_its_interfaces_are_read() {
    // The reader of interfaces panics at the first, which is valid, and would make room for four
    // gigabytes at the second.
    let misnamed =
        wat::parse_str("(component (import \"c:c/c\" (func)))").expect("it is spelt well");
    let endless = [b"\0asm\x0d\0\x01\0".as_slice(), &[2], &number(0xffff_ffff), &[1]].concat();
    let folder = folder("");
    let here = folder.path();
    put(here, "tasks", "tasks");
    let kinds = [
        ("misnamed", &misnamed, "has interfaces that cannot be read", "wasm-tools component wit"),
        ("endless", &endless, "cannot be compiled", "wasm-tools validate"),
    ];
    for (name, content, what, help) in kinds {
        let file = format!("plugins/{name}.wasm");
        fs::write(here.join(&file), content).expect("it is writable");
        let said = [&*file, what, "help: ", help];
        umbel(here, &["check", &file]).refused(1, &said);
        umbel(here, &["invoke", &file, "task"]).refused(1, &said);
    }
    let mut worker = worker(here, &["--keep-going"]);
    for (name, _, what, _) in kinds {
        let log = worker.log();
        assert!(log.contains(&format!("{name}.wasm` {what}")), "{log}");
    }
    fs::write(here.join("plugins/late.wasm"), endless).expect("it is writable");
    worker.await_log("late.wasm` cannot be compiled", SOON);
    umbel(here, &["call", "tasks.add", "2", "3", "--wait", "--timeout", "20s"]).said(&["5\n"]);
}

#[test]
fn a_pinned_plugin_is_taken_with_that_content_alone() {
    let pin = "0".repeat(64);
    let folder = folder(&format!("[plugins.tasks]\nsha256 = '{pin}'\n"));
    let here = folder.path();
    put(here, "tasks", "tasks");
    let refused = umbel(here, &["check", "plugins/tasks.wasm"]);
    refused.refused(1, &["tasks.wasm", "has the SHA-256 ", "is pinned", "help: "]);
    let (_, digest) = refused.text.split_once("has the SHA-256 ").expect("it says which");
    let digest = digest.get(..64).expect("64 digits");
    fs::write(here.join("umbel.toml"), format!("[plugins.tasks]\nsha256 = '{digest}'\n"))
        .expect("it is writable");
    umbel(here, &["check", "plugins/tasks.wasm"]).said(&["tasks.add"]);
    // Of versions, each has its own.
    put(here, "text", "text");
    let versions = |text_is: &str| {
        let pinned = |file: &str, digest: &str| {
            format!("{{ source = 'plugins/{file}.wasm', weight = 1, sha256 = '{digest}' }}")
        };
        let both = [pinned("tasks", digest), pinned("text", text_is)].join(", ");
        fs::write(here.join("umbel.toml"), format!("[plugins.tasks]\nversions = [{both}]\n"))
            .expect("it is writable");
    };
    versions(&pin);
    umbel(here, &["check", "plugins/tasks.wasm"]).said(&["tasks.add"]);
    umbel(here, &["check", "plugins/text.wasm"]).refused(1, &["text.wasm", "is pinned"]);
    versions("abc");
    umbel(here, &["tasks"]).refused(2, &["umbel.toml:2", "64 hexadecimal digits"]);
    let versions = "versions = [{ source = 'plugins/tasks.wasm', weight = 1 }]";
    let beside = format!("[plugins.tasks]\n{versions}\nsha256 = '{pin}'\n");
    fs::write(here.join("umbel.toml"), beside).expect("it is writable");
    umbel(here, &["tasks"]).refused(2, &["umbel.toml:3", "`plugins.tasks.sha256` beside"]);
    let configured = "[plugins.tasks]\nsha256 = 'abc'\n";
    fs::write(here.join("umbel.toml"), configured).expect("it is writable");
    umbel(here, &["tasks"]).refused(2, &["umbel.toml:2", "64 hexadecimal digits"]);
}

fn sign(file: &Path, with: &KeyPair) {
    let content = fs::read(file).expect("it is there");
    let signed = minisign::sign(None, &with.sk, Cursor::new(content), Some("for tests"), None);
    let text = signed.expect("a key signs").into_string();
    fs::write(file.with_extension("wasm.minisig"), text).expect("it is writable");
}

#[test]
fn where_keys_are_trusted_only_signed_plugins_are_taken() {
    let key = || KeyPair::generate_unencrypted_keypair().expect("a key can be made");
    let (ours, other, strange) = (key(), key(), key());
    let folder = folder(&format!(
        "[plugins]\ntrust = ['{}', '{}']\n[plugins.tasks]\nprefix = 'tasks'\n",
        other.pk.to_base64(),
        ours.pk.to_base64()
    ));
    let here = folder.path();
    put(here, "tasks", "tasks");
    let file = here.join("plugins/tasks.wasm");
    let check = ["check", "plugins/tasks.wasm"];
    umbel(here, &check).refused(1, &["is not signed", "tasks.wasm.minisig", "help: "]);
    let not_required = ["check", "plugins/tasks.wasm", "--require-signature=false"];
    umbel(here, &not_required).said(&["tasks.add"]);
    sign(&file, &ours);
    umbel(here, &check).said(&["tasks.add"]);
    let worker = worker(here, &[]);
    assert!(worker.log().contains("tasks.add"), "{}", worker.log());
    drop(worker);
    sign(&file, &strange);
    umbel(here, &check).refused(1, &["does not hold", "none of the trusted keys", "help: "]);
    umbel(here, &not_required).refused(1, &["does not hold"]);
    sign(&file, &ours);
    fs::copy(paths::plugin("images"), &file).expect("a component can be copied");
    umbel(here, &check).refused(1, &["does not hold", "verification failed"]);
    fs::write(file.with_extension("wasm.minisig"), "nonsense").expect("it is writable");
    umbel(here, &check).refused(1, &["signature that cannot be read"]);
}

#[test]
fn keys_that_are_none_and_signatures_without_keys_are_mistakes() {
    let check = |toml: &str, parts: &[&str]| {
        let folder = folder(toml);
        umbel(folder.path(), &["tasks"]).refused(2, parts);
    };
    check("[plugins]\ntrust = ['RWnonsense']\n", &["umbel.toml:2", "no public key of minisign"]);
    check("[plugins]\nrequire-signature = true\n", &["umbel.toml:2", "no key is trusted", "trust"]);
    check("[compile]\ntime = '1.5s'\n", &["umbel.toml:2", "whole seconds"]);
    check("[compile]\nmemory = '1MiB'\n", &["umbel.toml:2", "128MiB"]);
}

#[test]
fn compiled_code_from_outside_is_never_taken() {
    let folder = folder("");
    let here = folder.path();
    put(here, "tasks", "tasks");
    let cache = here.join("cache");
    let mut check = command(here, &["check", "plugins/tasks.wasm", "--cache"]);
    check.arg(&cache);
    run(check).said(&["compiled now"]);
    let entries = fs::read_dir(&cache).expect("the cache is there");
    let mut files = entries.map(|entry| entry.expect("it can be read").path());
    let code = files.find(|path| path.extension().is_some_and(|e| e == "cwasm"));
    let code = code.expect("there is code in it");
    fs::copy(code, here.join("plugins/stranger.wasm")).expect("it can be copied");
    umbel(here, &["check", "plugins/stranger.wasm"])
        .refused(1, &["is compiled code, not a component", "only taken from the cache"]);
}
