//! What to write instead of a type that cannot cross.

use quote::ToTokens;
use syn::Type;

/// Why a type cannot cross, and what can.
pub(crate) fn misfit(ty: &Type) -> syn::Error {
    let shown = shown(ty);
    let (why, help) = reason(ty, &shown);
    syn::Error::new_spanned(ty, format!("{why}\nhelp: {help}"))
}

/// A type as people write it.
pub(crate) fn shown(ty: &Type) -> String {
    let mut text = ty.to_token_stream().to_string();
    for (long, short) in [
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
        ("& ", "&"),
        (" ::", "::"),
        (":: ", "::"),
        ("[ ", "["),
        (" ]", "]"),
        (" ;", ";"),
        ("( ", "("),
        (" )", ")"),
        ("> ", ">"),
    ] {
        text = text.replace(long, short);
    }
    text.replace(">=", "> =")
        .replace(",", ", ")
        .replace(",  ", ", ")
        .replace(";", "; ")
        .replace(";  ", "; ")
}

fn reason(ty: &Type, shown: &str) -> (String, String) {
    let cannot = format!("`{shown}` cannot cross between worker and task");
    let help = match ty {
        Type::Reference(_) => "own it: only a parameter as a whole can be `&str`, `&[T]` or `&T`",
        Type::Array(_) => "take a `Vec<T>`, and look at its length",
        Type::Slice(_) => "take a `Vec<T>`",
        Type::ImplTrait(_) | Type::TraitObject(_) => {
            "name the type itself: callers send values, not behaviour"
        }
        Type::FnPtr(_) => "callers send values, not functions",
        Type::Ptr(_) => "worker and task share no memory: send the value",
        Type::Never(_) => "return `()`, or a `Result` to say how it ended",
        Type::Infer(_) => "write the type",
        Type::Path(path) => return named(path, cannot),
        _ => {
            "take numbers, text, `Vec<T>`, `Option<T>`, tuples, or a type with `#[derive(umbel::Type)]`"
        }
    };
    (cannot, help.to_string())
}

fn named(path: &syn::TypePath, cannot: String) -> (String, String) {
    let Some(last) = path.path.segments.last() else {
        return (cannot, "name a type".to_string());
    };
    let name = last.ident.to_string();
    let help = match name.as_str() {
        "usize" => "how large it is differs between machines: take a `u32` or a `u64`",
        "isize" => "how large it is differs between machines: take an `i32` or an `i64`",
        "u128" | "i128" => {
            "integers end at 64 bits: take a `u64` or an `i64`, or the digits as a `String`"
        }
        "HashMap" | "BTreeMap" | "Map" | "IndexMap" => {
            "take `umbel::Json<…>` around it, which is a JSON object for callers, or a `Vec<(K, V)>`"
        }
        "HashSet" | "BTreeSet" | "VecDeque" | "LinkedList" | "BinaryHeap" => {
            "take a `Vec<T>`, and collect it"
        }
        "Box" | "Rc" | "Arc" | "RefCell" | "Cell" | "Mutex" => "take what is inside",
        "Cow" | "str" | "OsString" | "Path" | "PathBuf" => {
            "take a `String`, or a `&str` as a parameter"
        }
        "Duration" => "take a number: an `f64` of seconds, or a `u64` of milliseconds",
        "SystemTime" | "Instant" | "DateTime" | "NaiveDate" | "NaiveDateTime" => {
            "take a `String`: dates and times arrive as ISO 8601"
        }
        "Context" => "a task takes it as a parameter of its own: `ctx: &Context`",
        _ => {
            let what = format!("`{name}` is not declared in this module");
            let help = format!(
                "declare it here with `#[derive(umbel::Type)]`, or take `umbel::Json<{name}>` for whatever serde reads"
            );
            return (what, help);
        }
    };
    (cannot, help.to_string())
}
