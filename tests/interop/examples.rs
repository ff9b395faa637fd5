//! The example plugins in three languages, on real input.

use serde_json::json;

use crate::scene::Scene;

pub(crate) fn a_photograph_becomes_a_thumbnail(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    let photo = umbel_harness::paths::photograph();
    python.exec(&format!(
        "photo = open({:?}, 'rb').read()\n\
         thumb = call('images.make_thumb', photo, 64)",
        photo.display().to_string()
    ));
    assert_eq!(python.eval("thumb[:3] == b'\\xff\\xd8\\xff'"), json!(true), "a JPEG stays one");
    assert_eq!(python.eval("len(thumb) < len(photo)"), json!(true));
    assert_eq!(python.eval("call('images.info', thumb)['width']"), json!(64));
    assert_eq!(python.eval("call('images.info', thumb)['format']"), json!("jpeg"));
    python.exec("png = call('images.convert', thumb, 'png')");
    assert_eq!(python.eval("png[:8] == b'\\x89PNG\\r\\n\\x1a\\n'"), json!(true));
    let raised = python.raises("call('images.make_thumb', b'no picture', 64)");
    assert_eq!(raised.kind, "TaskError", "{}", raised.traceback);
}

pub(crate) fn markdown_becomes_html(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    let html = python.eval("call('text.to_html', '# Hello\\n\\nsome *text*')");
    let html = html.as_str().expect("HTML is text");
    assert!(html.contains("<h1>Hello</h1>") && html.contains("<em>text</em>"), "{html}");
}

pub(crate) fn a_csv_becomes_its_summary(scene: &Scene) {
    let (mut python, _shown) = scene.peer();
    python.exec("summary = call('data.summarize', 'kind,size\\na,1\\nb,2\\na,6\\n')");
    assert_eq!(python.eval("summary['rows']"), json!(3));
    assert_eq!(python.eval("summary['columns'][0]['most_common']"), json!("a"));
    assert_eq!(python.eval("summary['columns'][1]['numbers']['mean']"), json!(3.0));
}
