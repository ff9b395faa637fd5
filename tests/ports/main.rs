//! Each example that replaces a Celery task, beside that task: a README's Python is run, its caller's
//! code calls both, and what comes of it must be the same. Those in C and in Go need compilers, and are
//! built and run by `make test-languages`.

mod readme;
mod stage;

use std::fs;
use std::path::PathBuf;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::json;
use umbel_harness::paths;

use self::readme::Readme;
use self::stage::{Setting, build, type_in};

/// What it shows, the language whose compiler it needs, the test.
type Case = (&'static str, Option<&'static str>, fn());

fn main() {
    let wanted = std::env::var("UMBEL_LANGUAGES").unwrap_or_default();
    let ports: [Case; 6] = [
        ("thumbnails_in_rust_are_those_of_pillow", None, images),
        ("markdown_in_javascript_is_that_of_python", None, text),
        ("statistics_of_csv_are_those_of_the_task_before", None, data),
        ("counters_in_typescript_go_on_where_those_in_python_stopped", None, visits),
        ("checksums_and_copies_in_c_are_those_of_python", Some("c"), archive),
        ("mails_in_go_are_those_of_python_and_are_tried_again", Some("go"), mail),
    ];
    let trials = ports.map(|(name, language, port)| {
        let left_out = match language {
            Some(language) => !wanted.split_whitespace().any(|one| one == language),
            // Built by `make plugins`, which `make test-languages` does not need.
            None => !wanted.is_empty(),
        };
        let run = move || -> Result<(), Failed> {
            port();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(left_out)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

fn images() {
    let photo = paths::photograph().display().to_string();
    let readme = Readme::of("images", &[("photo.jpg", &photo)]);
    let mut port = Setting::new().port("images", &paths::plugin("images"), readme);
    port.serves_its_caller("");
    let wide = format!("[open({photo:?}, 'rb').read(), 5000]");
    port.agrees_on("images.make_thumb", &[&wide]);
}

fn text() {
    let mut port = Setting::new().port("text", &paths::plugin("text"), Readme::of("text", &[]));
    port.serves_its_caller("");
    let texts = [
        r#"["| a | b |\n|---|--:|\n| 1 | `2` |\n\n~~no~~ **yes**"]"#,
        r#"["[x](javascript:alert) <img src=x onerror=y> &amp; \"q\" \\* ![i](http://a/b.png)"]"#,
        r#"["1. ä\n2. https://example.com/?a=1&b=2\n\n> quoted\n\n```rust\nfn main() {}\n```\n---"]"#,
        r#"[""]"#,
    ];
    for task in ["text.to_html", "text.contents", "text.excerpt"] {
        port.agrees_on(task, &texts);
    }
    let readme = paths::workspace().join("README.md").display().to_string();
    for task in ["text.to_html", "text.contents"] {
        port.agrees_on(task, &[&format!("[open({readme:?}).read()]")]);
    }
}

fn data() {
    let setting = Setting::new();
    let prices = setting.home.path().join("prices.csv");
    fs::write(prices, "kind,price\ntea,3.50\ncoffee,4\n").expect("a temporary folder is writable");
    let mut port = setting.port("data", &paths::plugin("data"), Readme::of("data", &[]));
    port.serves_its_caller("");
    let tables = [
        r#"["a;b\n1;x\n2;\n 3 ;x\n"]"#,
        r#"["one\n0.1\n0.2\n1e300\n-7\n"]"#,
        r#"["a\tb\r\n\"x, y\"\tz\r\n\r\n"]"#,
        r#"["only,a,header"]"#,
        r#"["a,b\n1"]"#,
        r#"["a,b\n\"1"]"#,
        r#"[""]"#,
    ];
    port.agrees_on("data.summarize", &tables);
}

fn visits() {
    let mut setting = Setting::new();
    let store = setting.redis.url(1);
    let readme = Readme::of("visits", &[("redis://localhost", &store)]);
    setting.python.exec(&format!("import redis\nprobe = redis.Redis.from_url({store:?})"));
    let mut port = setting.port("visits", &paths::plugin("granted/visits"), readme);
    // What the lines that try it have left.
    port.python.exec("probe.flushdb()");
    port.serves_its_caller("probe.flushdb()");
    // The worker has counted last; both go on from there.
    let both = "[hit('/about'), call('visits.hit', '/about'), hit('/about', by=3)]";
    assert_eq!(port.python.eval(both), json!([3, 4, 7]));
    port.python.exec("probe.flushdb()\nfor i in range(700): probe.set(f'site/visits/ä{i}', i)");
    port.agrees_on("visits.top", &["[]", "[1000]", "[0]"]);
    // Not in its words, but said: a key that is no number.
    port.python.exec("probe.set('site/visits/word', 'many')");
    let raised = port.python.raises("call('visits.hit', 'word')");
    assert_eq!(raised.kind, "TaskError", "{}", raised.traceback);
    assert!(raised.message.contains("no number"), "{}", raised.message);
}

fn archive() {
    let setting = Setting::new();
    let folder = setting.home.path().join("archive");
    let file = |name: &str| folder.join(name);
    fs::create_dir(&folder).expect("a temporary folder is writable");
    let pattern = (0..300_000_u32).map(|number| (number.wrapping_mul(number) >> 7) as u8);
    let lines = (0..20_000).map(|number| format!("GET /page/{number} 200\n"));
    for (name, content) in [
        ("2026-11.log", lines.collect::<String>().into_bytes()),
        ("empty", Vec::new()),
        ("one", b"x".to_vec()),
        ("zeros", vec![0; 100_000]),
        ("pattern", pattern.collect()),
    ] {
        fs::write(file(name), content).expect("a temporary folder is writable");
    }
    let place = folder.display().to_string();
    let readme = Readme::of("archive", &[("/var/archive", &place)]);
    let component = build("archive", setting.home.path());
    let mut port = setting.port("archive", &component, readme);
    port.serves_its_caller("");
    for name in ["empty", "one", "zeros", "pattern"] {
        let path = format!("{place}/{name}");
        port.agrees_on("archive.digest", &[&format!("[{path:?}]")]);
        let code = format!(
            "import gzip\nwith gzip.open(app.send_task('archive.gzip', [{path:?}]).get()) as copy:\n    \
             content = copy.read()\ndel copy"
        );
        port.agrees(&code, "");
    }
    let outside = port.python.raises("call('archive.digest', '/etc/passwd')");
    assert_eq!(outside.kind, "FileNotFoundError", "{}", outside.traceback);
}

fn mail() {
    let mut setting = Setting::new();
    setting.python.exec(include_str!("provider.py"));
    let port = setting.python.eval("provider.server_port");
    let address = format!("http://127.0.0.1:{port}");
    setting.variable("MAIL_URL", format!("{address}/v1/mails"));
    setting.variable("MAIL_TOKEN", "secret".to_owned());
    let replacements = [("https://api.mail.example.com", address.as_str()), (" # m-1", " # m-ada")];
    let readme = Readme::of("mail", &replacements);
    let component = built_and_tested();
    let mut port = setting.port("mail", &component.1, readme);
    port.python.exec("requests.clear()");
    port.serves_its_caller("");
    let same = "(requests[0]['body'] == requests[1]['body'], requests[1]['token'])";
    assert_eq!(port.python.eval(same), json!([true, "Bearer secret"]));
    // What is refused is not sent again; what is busy, as often as it says.
    let busy = "answers[:] = [(503, {'Retry-After': '1'}), (429, {'Retry-After': '0'})]";
    let refused = "answers[:] = [(404, {})]";
    let never = "answers[:] = [(500, {'Retry-After': '0'})] * 6";
    for (answers, sent) in [(busy, 3), (refused, 1), (never, 6)] {
        port.python.exec(&format!("requests.clear()\n{answers}"));
        let code = "id = app.send_task('mail.confirm_order', ['ada@example.com', 'Ä', []]).get()";
        port.agrees(code, &format!("here = list(requests)\nrequests.clear()\n{answers}"));
        assert_eq!(
            port.python.eval("[len(here), len(requests)]"),
            json!([sent, sent]),
            "{answers}"
        );
        assert_eq!(port.python.eval("len({one['key'] for one in requests})"), 1);
        if answers == busy {
            let waited = port.python.eval("requests[1]['at'] - requests[0]['at'] >= 0.9");
            assert_eq!(waited, true, "it waits as long as it was told");
        }
    }
}

/// The port in Go, whose own tests pass.
fn built_and_tested() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::TempDir::new().expect("a temporary folder can be made");
    // The grant that it needs to be checked stands beside it.
    let component = build("mail", home.path());
    type_in(&paths::workspace().join("plugins/mail"), "go test ./...", &[]);
    (home, component)
}
