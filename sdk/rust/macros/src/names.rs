//! Names: Rust's to WIT's, and WIT's to those that the bindings have.

use heck::{ToKebabCase, ToSnakeCase, ToUpperCamelCase};
use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;

/// A name in WIT's kebab case, or an error where the name stands.
pub(crate) fn kebab(name: &Ident) -> syn::Result<String> {
    let plain = name.unraw().to_string();
    let kebab = plain.to_kebab_case();
    let fits = |word: &str| word.starts_with(|first: char| first.is_ascii_lowercase());
    if !plain.is_ascii() {
        let what = format!("`{plain}` is no name for callers in other languages");
        return Err(syn::Error::new(name.span(), format!("{what}\nhelp: use letters from a to z")));
    }
    if kebab.is_empty() || !kebab.split('-').all(fits) {
        let what = format!("`{plain}` is no name in WIT, where each word begins with a letter");
        let help = "help: write a digit directly behind a letter: `size2`, not `size_2`";
        return Err(syn::Error::new(name.span(), format!("{what}\n{help}")));
    }
    Ok(kebab)
}

/// The name of a function, a field or a module in the bindings.
pub(crate) fn snake(kebab: &str) -> Ident {
    let name = kebab.to_snake_case();
    // Bindings add an underscore to Rust's words.
    let known = syn::parse_str::<Ident>(&name).is_ok() && !RESERVED.contains(&name.as_str());
    Ident::new(&if known { name } else { format!("{name}_") }, Span::call_site())
}

/// The name of a type or a case in the bindings.
pub(crate) fn camel(kebab: &str) -> Ident {
    // The bindings' own trait has this name.
    let name = if kebab == "guest" { "Guest_".to_string() } else { kebab.to_upper_camel_case() };
    Ident::new(&name, Span::call_site())
}

/// Words that Rust took later, or may take, and that parse as names in some editions.
const RESERVED: [&str; 14] = [
    "abstract", "async", "await", "become", "box", "do", "dyn", "final", "macro", "override",
    "priv", "try", "unsized", "virtual",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rust: &str, wit: &str) {
        let name = syn::parse_str(rust).unwrap();
        assert_eq!(kebab(&name).unwrap_or_else(|error| error.to_string()), wit);
    }

    #[test]
    fn names_become_kebab_case() {
        check("make_thumb", "make-thumb");
        check("HttpServer", "http-server");
        check("_unused", "unused");
        check("r#type", "type");
        check("x2", "x2");
    }

    #[test]
    fn words_begin_with_letters() {
        let help = "help: write a digit directly behind a letter: `size2`, not `size_2`";
        check(
            "size_2",
            &format!("`size_2` is no name in WIT, where each word begins with a letter\n{help}"),
        );
        check(
            "größe",
            "`größe` is no name for callers in other languages\nhelp: use letters from a to z",
        );
    }

    #[test]
    fn the_bindings_have_other_words_for_rusts_own() {
        assert_eq!(snake("make-thumb"), "make_thumb");
        assert_eq!(snake("type"), "type_");
        assert_eq!(snake("try"), "try_");
        assert_eq!(camel("http-server"), "HttpServer");
        assert_eq!(camel("guest"), "Guest_");
    }
}
