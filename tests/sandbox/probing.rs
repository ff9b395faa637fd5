//! Several requests of one task at once, over WASI 0.3, under the grants that 0.2 has.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::{Arc, Barrier};

use tempfile::TempDir;
use umbel_harness::{paths, worker};

/// A server that answers no request before so many are there, on a port of its own.
fn server(together: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let all = Arc::new(Barrier::new(together));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let all = all.clone();
            std::thread::spawn(move || serve(stream, &all));
        }
    });
    port
}

/// A client that goes away ends the answer.
fn serve(mut stream: TcpStream, all: &Barrier) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    all.wait();
    let _ =
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
}

/// Looks at these addresses with this grant.
fn look(allow: &str, limits: &str, urls: &[String]) -> Output {
    let folder = TempDir::with_prefix("umbel-probing-").expect("a temporary folder");
    let config = folder.path().join("umbel.toml");
    let text = format!("[plugins.probe]\nlimits = {{ time = \"60s\"{limits} }}\n{allow}\n");
    std::fs::write(&config, text).expect("a temporary folder is writable");
    let args = serde_json::json!([urls]).to_string();
    let mut command = worker::command("invoke");
    command.arg("--config").arg(config).arg(paths::plugin("granted/probe")).args(["look", &args]);
    command.arg("--json").output().expect("the binary can be started")
}

/// What came of it.
#[track_caller]
fn report(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn all_requests_of_a_task_are_on_their_way_at_once() {
    let port = server(3);
    let urls: Vec<String> = (0..3).map(|at| format!("http://127.0.0.1:{port}/{at}")).collect();
    let output = look(&format!("allow = {{ http = [\"http://127.0.0.1:{port}\"] }}"), "", &urls);
    let report = report(&output);
    let answers = report["ending"]["result"].as_array().expect("a list");
    for (answer, url) in answers.iter().zip(&urls) {
        assert_eq!((&answer["status"], &answer["size"]), (&200.into(), &5.into()), "{report}");
        assert_eq!(answer["url"], url.as_str());
    }
    assert_eq!(report["bill"]["requests"], 3, "{report}");
    assert_eq!(report["bill"]["sockets"], 3, "{report}");
    assert!(report["bill"]["request_bytes"].as_u64().is_some_and(|bytes| bytes > 15), "{report}");
}

#[test]
fn each_of_them_needs_its_grant_and_counts() {
    let port = server(1);
    let one = format!("http://127.0.0.1:{port}/");
    let allow = format!("allow = {{ http = [\"http://127.0.0.1:{port}\"] }}");
    let other = "http://127.0.0.2:1/".to_owned();
    let looked = report(&look(&allow, "", &[one.clone(), other]));
    assert_eq!(looked["ending"]["result"][0]["status"], 200, "{looked}");
    let refused = looked["ending"]["result"][1]["error"].as_str().unwrap_or_default();
    assert_eq!(refused, "the task was not granted this site", "{looked}");
    let few = report(&look(&allow, ", requests = 2", &[one.clone(), one.clone(), one.clone()]));
    let answers = few["ending"]["result"].as_array().expect("a list");
    let answered = answers.iter().filter(|answer| answer["status"] == 200).count();
    assert_eq!(answered, 2, "{few}");
    let ungranted = look("", "", &[one]);
    let said = String::from_utf8_lossy(&ungranted.stderr);
    assert!(said.contains("`wasi:http/client@0.3."), "{said}");
    assert!(said.contains("[plugins.probe] allow = { http = "), "{said}");
}
