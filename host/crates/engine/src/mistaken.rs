//! What a file is that is no component, and what makes one of it.

use crate::load::Refusal;
use crate::sections::{Layer, custom, layer, sections};

/// Refuses what is no component by its first bytes.
pub(crate) fn is_component(bytes: &[u8]) -> Result<(), Refusal> {
    let (what, help) = match (layer(bytes), bytes) {
        (Some(Layer::Component), _) => return Ok(()),
        (Some(Layer::Module), _) => Core::of(bytes).in_words(),
        (None, [0x7f, b'E', b'L', b'F', ..]) => (
            "is compiled code, not a component",
            "compiled code is only taken from the cache; give the `.wasm` file",
        ),
        (None, []) => ("is empty", A_COMPONENT),
        (None, _) if starts_with(bytes, b"(component") => {
            ("is the text of a component, not its binary", "translate it with `wasm-tools parse`")
        }
        (None, _) if starts_with(bytes, b"(module") => (
            "is the text of a core WebAssembly module, not a component",
            "a task is an exported function of a component; `umbel new` begins one",
        ),
        _ => ("is not a WebAssembly component", A_COMPONENT),
    };
    Err((what.to_owned(), Some(help.to_owned())))
}

const A_COMPONENT: &str = "a component starts with the bytes `\\0asm`, version 13, layer 1";

fn starts_with(bytes: &[u8], word: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(word)
}

/// What a core module was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Core {
    /// It holds the types of a component: the last step is missing.
    Typed,
    /// The same, and it calls WASI preview 1.
    TypedPreview1,
    /// A program with a `main`, for WASI preview 1.
    Command,
    /// The same, built by Go.
    GoCommand,
    /// A library for WASI preview 1.
    Reactor,
    /// It imports what a page in a browser gives it.
    Browser,
    Bare,
}

impl Core {
    fn of(module: &[u8]) -> Self {
        let (mut typed, mut preview1, mut browser, mut command) = (false, false, false, false);
        let mut go = false;
        for (id, section) in sections(module) {
            match id {
                0 => {
                    let name = custom(section).map_or(&[][..], |(name, _)| name);
                    typed |= name.starts_with(TYPES);
                    go |= name.starts_with(b"go:");
                }
                2 => {
                    preview1 |= names(section, b"wasi_snapshot_preview1")
                        || names(section, b"wasi_unstable");
                    browser |= names(section, b"wbg")
                        || names(section, b"__wbindgen_placeholder__")
                        || names(section, b"gojs");
                }
                7 => command |= names(section, b"_start"),
                _ => {}
            }
        }
        match (typed, preview1) {
            (true, true) => Self::TypedPreview1,
            (true, false) => Self::Typed,
            (false, true) if command && go => Self::GoCommand,
            (false, true) if command => Self::Command,
            (false, true) => Self::Reactor,
            (false, false) if browser => Self::Browser,
            (false, false) => Self::Bare,
        }
    }

    fn in_words(self) -> (&'static str, &'static str) {
        match self {
            Self::Typed => (
                "is a core WebAssembly module with the types of a component in it: the last step, \
                 which makes the component, is missing",
                "build it with `umbel build`, or take that step with `wasm-tools component new`",
            ),
            Self::TypedPreview1 => (
                "is a core WebAssembly module for WASI preview 1 with the types of a component in \
                 it: the last step, which makes the component, is missing",
                "build it with `umbel build`, which brings the adapter for preview 1, or take that \
                 step with `wasm-tools component new --adapt wasi_snapshot_preview1.reactor.wasm`",
            ),
            Self::Command => (
                "is a core WebAssembly module, not a component: a program with a `main` for WASI \
                 preview 1, with no function that could be a task",
                "make a library of it that exports its tasks (`umbel new` begins one), and build \
                 that with `umbel build`, or for the target `wasm32-wasip2`",
            ),
            Self::GoCommand => (
                "is a core WebAssembly module, not a component: a program in Go, with no function \
                 that could be a task",
                "Go makes a library of it with `-buildmode=c-shared`: `umbel build` passes that, \
                 makes the bindings and the component",
            ),
            Self::Reactor => (
                "is a core WebAssembly module, not a component: a library for WASI preview 1 that \
                 does not say what types its functions have",
                "describe them in WIT (`umbel new` shows how) and build it with `umbel build`, \
                 which brings the adapter for preview 1, or for the target `wasm32-wasip2`",
            ),
            Self::Browser => (
                "is a core WebAssembly module, not a component: it was built for a web page, whose \
                 functions it imports",
                "build it for the target `wasm32-wasip2`, or with `umbel build`",
            ),
            Self::Bare => (
                "is a core WebAssembly module, not a component: it does not say what types its \
                 functions have",
                "build it for `wasm32-wasip2` or with `umbel build`, which makes a component of it",
            ),
        }
    }
}

/// Begins the names of sections in which linkers leave a component's types.
const TYPES: &[u8] = b"component-type";

/// True if a section of imports or exports has this name.
fn names(section: &[u8], name: &[u8]) -> bool {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let wanted = [&[length], name].concat();
    section.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_module_is_told_by_what_it_imports_and_exports() {
        let check = |text: &str, expected: Core| {
            let module = wat::parse_str(text).expect(text);
            assert_eq!(Core::of(&module), expected, "{text}");
        };
        let import = "(import \"wasi_snapshot_preview1\" \"fd_write\" (func))";
        check("(module)", Core::Bare);
        check("(module (func (export \"_start\")))", Core::Bare);
        check(&format!("(module {import} (func (export \"_start\")))"), Core::Command);
        let go =
            format!("(module {import} (func (export \"_start\")) (@custom \"go:buildid\" \"\"))");
        check(&go, Core::GoCommand);
        check(&format!("(module {import} (func (export \"_initialize\")))"), Core::Reactor);
        check("(module (@custom \"component-type:plugin\" \"\"))", Core::Typed);
        let typed = format!("(module {import} (@custom \"component-type\" \"\"))");
        check(&typed, Core::TypedPreview1);
        check("(module (import \"wbg\" \"log\" (func)))", Core::Browser);
    }

    #[test]
    fn what_is_no_wasm_is_told_by_how_it_starts() {
        let check = |bytes: &[u8], part: &str| {
            let (what, _) = is_component(bytes).expect_err(part);
            assert!(what.contains(part), "{what}");
        };
        check(b"", "is empty");
        check(b"\x7fELF", "compiled code");
        check(b"  (component)", "text of a component");
        check(b"(module)", "text of a core");
        check(b"hello", "is not a WebAssembly component");
        check(b"\0asm\x01\0\0\0\xff\xff", "core WebAssembly module");
        assert!(is_component(b"\0asm\x0d\0\x01\0").is_ok());
    }
}
