//! JavaScript and TypeScript: esbuild makes one file of the project, and an engine goes into the component with it.
//! Between the component's exports and the author's functions stands the helper's `guest.js`, told of their types by
//! a module that is written here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::shapes::{self, camel};
use super::sourcemap::SourceMap;
use super::{HOST, Module, Source, declarations, helper, template, write};
use crate::build::Engine;
use crate::encode::World;
use crate::project::Project;
use crate::tools::{Failed, Job, Tool};
use crate::{Problem, files};

pub(crate) struct JavaScript {
    /// TypeScript.
    pub(crate) typed: bool,
}

const INSTALL: &[&str] = &["npm install", "npm install --save-dev componentize-qjs esbuild"];

const ESBUILD: Tool = Tool {
    name: "esbuild",
    inside: &["node_modules/.bin"],
    purpose: "make one file of the project",
    install: INSTALL,
};

const QUICKJS: Tool = Tool {
    name: "componentize-qjs",
    inside: &["node_modules/.bin"],
    purpose: "put QuickJS into a component",
    install: INSTALL,
};

const NODE: Tool = Tool {
    name: "node",
    inside: &[],
    purpose: "put StarlingMonkey into a component",
    install: &["install Node.js, version 20 or later"],
};

/// The packages that make components of StarlingMonkey: they are called from JavaScript. The second
/// is one that the first needs and does not bring; later versions of it do not find the WIT.
const STARLINGMONKEY: [&str; 2] =
    ["@bytecodealliance/componentize-js", "@bytecodealliance/preview2-shim"];

impl Module for JavaScript {
    fn claims(&self, project: &Project) -> bool {
        project.has("package.json") && project.has("tsconfig.json") == self.typed
    }

    fn sources(&self) -> &'static [Source] {
        const UMBEL: Source = helper("sdk/javascript/umbel", "umbel");
        match self.typed {
            true => const { &[template("sdk/typescript/template"), UMBEL, HOST] },
            false => const { &[template("sdk/javascript/template"), UMBEL, HOST] },
        }
    }

    fn preparation(&self) -> &'static [&'static str] {
        &["npm install"]
    }

    fn example(&self) -> &'static str {
        "summarize '[[3, 1, 2]]'"
    }

    fn build(&self, job: &mut Job<'_>) -> Result<Vec<u8>, Problem> {
        let world = World::read(job.project.folder())?;
        let main = main_file(job.project, &job.name)?;
        declare(job.project, &world, &job.name)?;
        let work = job.work("javascript")?;
        let bundle = bundle(job, &world, &main, &work)?;
        let made = work.join("component.wasm");
        match job.engine {
            Engine::QuickJs => quickjs(job, &world, &bundle, &made)?,
            Engine::StarlingMonkey => starlingmonkey(job, &world, &bundle, &made)?,
        }
        let bytes = fs::read(&made).map_err(|why| Problem::file("read", &made, why))?;
        let _ = fs::remove_file(&made);
        Ok(bytes)
    }
}

/// The module that has the tasks: `main` of package.json, or what is called as the plugin.
fn main_file(project: &Project, name: &str) -> Result<PathBuf, Problem> {
    let manifest = project.folder().join("package.json");
    let text = fs::read(&manifest).map_err(|why| Problem::file("read", &manifest, why))?;
    let package: Value = serde_json::from_slice(&text)
        .map_err(|why| Problem::new(format!("{} is no JSON: {why}", manifest.display())))?;
    if let Some(main) = package.get("main").and_then(Value::as_str) {
        let file = project.folder().join(main);
        return match file.is_file() {
            true => Ok(file),
            false => Err(Problem::new(format!("package.json names `{main}`, which is not there"))
                .help("`main` is the module that has the tasks")),
        };
    }
    let places = ["src", "."].into_iter().flat_map(|folder| {
        [name, "index"].into_iter().flat_map(move |stem| {
            ["ts", "js", "mjs"].map(|extension| format!("{folder}/{stem}.{extension}"))
        })
    });
    let mut files = places.map(|place| project.folder().join(place));
    files.find(|file| file.is_file()).ok_or_else(|| {
        Problem::new(format!("there is no src/{name}.js in {}", project.folder().display()))
            .help("`\"main\"` in package.json names the module that has the tasks")
    })
}

/// Writes the types of the exports beside their WIT, if that is news.
fn declare(project: &Project, world: &World, name: &str) -> Result<(), Problem> {
    let file = project.folder().join("wit").join(format!("{name}.d.ts"));
    let text = declarations::of(world);
    match fs::read_to_string(&file) {
        Ok(there) if there == text => Ok(()),
        _ => write(&file, text.as_bytes()),
    }
}

/// One file of the project, of what it imports, and of what makes it a component's exports.
fn bundle(job: &mut Job<'_>, world: &World, main: &Path, work: &Path) -> Result<PathBuf, Problem> {
    let tool = job.find(&ESBUILD)?;
    let entry = work.join("entry.js");
    write(&entry, entry_text(world, main, job.engine).as_bytes())?;
    let bundle = work.join("bundle.js");
    let mut command = Command::new(tool);
    command.current_dir(job.project.folder()).arg(&entry).args(["--bundle", "--format=esm"]);
    command.args(["--sourcemap=external", "--log-level=warning"]);
    command.args(["--external:umbel:*", "--external:wasi:*"]);
    for import in world.imports() {
        if let Some((package, _)) = import.split_once('/') {
            command.arg(format!("--external:{package}/*"));
        }
    }
    if job.release {
        command.args(["--minify-whitespace", "--minify-syntax"]);
    }
    if job.show.colour() {
        command.arg("--color=true");
    }
    command.arg(format!("--outfile={}", bundle.display()));
    command.env("NODE_PATH", helper_folder(job.project, work)?);
    job.attempt("make one file of the project", &mut command)?.map_err(|failed| {
        job.show.said(&failed.said);
        match failed.said.contains("is built into node") {
            true => failed
                .problem
                .help("a component has nothing of Node's: take what is made for browsers"),
            false => failed.problem,
        }
    })?;
    Ok(bundle)
}

/// Where `umbel` is imported from if it is not installed: the project, or a copy of our own.
fn helper_folder(project: &Project, work: &Path) -> Result<PathBuf, Problem> {
    if project.has("umbel/package.json") {
        return Ok(project.folder().to_owned());
    }
    let folder = work.join("helper");
    for (place, content) in files::below("sdk/javascript/umbel") {
        write(&folder.join("umbel").join(place), content)?;
    }
    Ok(folder)
}

/// The module that has the exports.
fn entry_text(world: &World, main: &Path, engine: Engine) -> String {
    let hosts = ["context", "progress", "log", "tasks"];
    let hosts = hosts.into_iter().filter_map(|name| Some((name, world.import(name)?)));
    let (imports, connected): (Vec<String>, Vec<String>) = hosts
        .map(|(name, from)| {
            (format!("import * as {name}_ from {from:?};\n"), format!("{name}: {name}_"))
        })
        .unzip();
    let mut text = format!(
        "// Written by `umbel build`: the component's exports, made of the project's.\n\n\
         import \"umbel/globals\";\nimport {{ connect, implement }} from \"umbel/guest\";\n{imports}\
         import * as author from {main:?};\n\nconnect({{ {connected} }}, {engine:?});\n",
        imports = imports.concat(),
        main = main.display().to_string(),
        connected = connected.join(", "),
        engine = engine.key(),
    );
    for exported in world.exported() {
        let table = shapes::table(&world.resolve, &exported, camel);
        match exported.interface.map(camel) {
            Some(name) => {
                text += &format!("\nexport const {name} = implement(author, {name:?}, {table});\n")
            }
            None => {
                text += &format!("\nconst own = implement(author, \"default\", {table});\n");
                for function in &exported.functions {
                    let name = camel(&function.name);
                    text += &format!("export const {name} = own.{name};\n");
                }
            }
        }
    }
    text
}

fn quickjs(job: &mut Job<'_>, world: &World, bundle: &Path, made: &Path) -> Result<(), Problem> {
    let mut command = Command::new(job.find(&QUICKJS)?);
    command.current_dir(job.project.folder()).arg("--wit").arg(job.project.folder().join("wit"));
    command.args(["--world", &world.resolve.worlds[world.id].name]);
    command.arg("--js").arg(bundle).arg("--output").arg(made);
    if !world.is_async() {
        command.arg("--sync");
    }
    if job.release {
        command.arg("--opt-size");
    }
    let put = job.attempt("put QuickJS into a component", &mut command)?;
    put.map(drop).map_err(|failed| explain(failed, job, bundle))
}

/// What is called where there is no command: the arguments come as JSON.
const CALL: &str = r#"// Written by `umbel build`.
import { readFile, writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const { output, source, ...options } = JSON.parse(process.argv[2]);
const { component } = await componentize(await readFile(source, "utf8"), options);
await writeFile(output, component);
"#;

fn starlingmonkey(
    job: &mut Job<'_>,
    world: &World,
    bundle: &Path,
    made: &Path,
) -> Result<(), Problem> {
    let node = job.find(&NODE)?;
    let has = |package: &&str| job.project.has(&format!("node_modules/{package}/package.json"));
    if let Some(missing) = STARLINGMONKEY.iter().find(|package| !has(package)) {
        let [componentize, shim] = STARLINGMONKEY;
        return Err(Problem::new(format!("`{missing}` is needed to build with StarlingMonkey"))
            .help(format!("npm install --save-dev {componentize} {shim}@0.17")));
    }
    let script = made.with_file_name("starlingmonkey.mjs");
    write(&script, CALL.as_bytes())?;
    let http = world.imports().iter().any(|name| name.starts_with("wasi:http/"));
    let without: &[&str] = if http { &["fetch-event"] } else { &["http", "fetch-event"] };
    let options = serde_json::json!({
        "output": made,
        "source": bundle,
        "witPath": job.project.folder().join("wit"),
        "worldName": world.resolve.worlds[world.id].name,
        "disableFeatures": without,
    });
    let mut command = Command::new(node);
    command.current_dir(job.project.folder()).arg(script).arg(options.to_string());
    let put = job.attempt("put StarlingMonkey into a component", &mut command)?;
    put.map(drop).map_err(|failed| explain(failed, job, bundle))
}

/// Words of an engine around what a module threw while it was loaded.
const AROUND: &[&str] = &[
    "JavaScript module evaluation: ",
    "JavaScript module: ",
    "Exception while evaluating top-level script\n",
];

/// What the author's module threw while it was loaded, without what stands around it.
fn explain(failed: Failed, job: &mut Job<'_>, bundle: &Path) -> Problem {
    let thrown = AROUND.iter().find_map(|around| Some(failed.said.rsplit_once(around)?.1));
    let Some(thrown) = thrown else {
        job.show.said(&failed.said);
        return failed.problem;
    };
    let first = thrown.lines().next().unwrap_or_default();
    if let Some((_, mismatch)) = first.split_once("umbel: ") {
        return Problem::new(mismatch)
            .help("change the function or the .wit file in wit/: both say the same");
    }
    job.show.said(&in_sources(thrown, job.project, bundle));
    let problem = Problem::new("the project could not be loaded");
    match first.strip_suffix(" is not defined").and_then(|text| text.rsplit_once(' ')) {
        Some((_, name)) => problem.help(format!(
            "a component has no `{name}`: no timers, nothing of a browser's or of Node's; \
             --engine starlingmonkey has some of them"
        )),
        None => problem,
    }
}

/// An error with its stack, whose places are those of the author's files.
fn in_sources(thrown: &str, project: &Project, bundle: &Path) -> String {
    let map = fs::read(bundle.with_extension("js.map")).ok();
    let map = map.and_then(|text| SourceMap::read(&text));
    let lines = thrown.trim_end().lines().filter_map(|line| {
        let Some(frame) = line.strip_prefix("    at ") else { return Some(line.to_owned()) };
        let (function, place) = frame.rsplit_once(" (")?;
        let mut parts = place.trim_end_matches(')').rsplitn(3, ':');
        let column = parts.next()?.parse().ok()?;
        let line = parts.next()?.parse().ok()?;
        let (source, line, column) = map.as_ref()?.origin(line, column)?;
        let file = fs::canonicalize(bundle.parent()?.join(source)).ok()?;
        let file = file.strip_prefix(project.folder()).ok()?;
        let own = !file.starts_with("umbel") && !file.starts_with("build");
        own.then(|| format!("    at {function} ({}:{line}:{column})", file.display()))
    });
    lines.collect::<Vec<String>>().join("\n")
}
