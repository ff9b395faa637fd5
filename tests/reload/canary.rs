//! Two versions of one plugin side by side.

use std::collections::BTreeSet;
use std::fs;

use umbel_harness::eventually::PATIENCE;

use crate::component::component;
use crate::scene::{Scene, text};

const HALF: &str = "[plugins.life]\nversions = [{ source = \"a.wasm\", weight = 1 }, \
                    { source = \"b.wasm\", weight = 1 }]\n";

#[test]
fn versions_share_the_messages_until_one_is_rolled_back() {
    let scene = Scene::open(&[("beside", "none")], "");
    for name in ["a", "b"] {
        fs::write(scene.worker.home().join(format!("{name}.wasm")), component(name)).unwrap();
    }
    scene.configure(HALF);
    scene.await_told("plugin life@", 2);
    let seen = || -> BTreeSet<String> {
        let ids = scene.client.send_all("life.version", (0..40).map(|_| Vec::new()));
        ids.iter().map(|id| text(&scene.client.wait(id, PATIENCE))).collect()
    };
    assert_eq!(seen(), BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    assert_eq!(scene.plugin("b.wasm")["weight"], 1);
    let said = scene.ask("rollback", &["life", "--timeout", "30s"]);
    assert!(said.to_string().contains("all messages of `life` go to life@"), "{said}");
    assert_eq!(seen(), BTreeSet::from(["a".to_owned()]));
    assert_eq!(scene.plugin("b.wasm")["weight"], 0);
    let said = scene.ask("rollback", &["beside", "--timeout", "30s"]);
    assert!(said.to_string().contains("no two versions side by side"), "{said}");
    // Another share is another decision.
    scene.configure(&HALF.replacen("weight = 1", "weight = 0", 1));
    scene.await_told("the configuration was read again", 2);
    scene.await_told("messages of plugin life are shared now: 0 to life@", 1);
    umbel_harness::eventually::eventually("the other one serves", PATIENCE, || {
        umbel_harness::eventually::expect_equal(seen(), BTreeSet::from(["b".to_owned()]))
    });
}
