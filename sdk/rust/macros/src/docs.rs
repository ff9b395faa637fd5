//! Doc comments: as WIT's own, and as the section in which a component carries them.

use syn::{Attribute, Expr, Lit, Meta};

/// The lines of an item's doc comments.
pub(crate) fn of(attributes: &[Attribute]) -> Vec<String> {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(literal) = &pair.value else { continue };
        let Lit::Str(text) = &literal.lit else { continue };
        lines.extend(
            text.value()
                .split('\n')
                .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_string()),
        );
    }
    lines
}

/// The section `package-docs` for the functions of one interface: a version, then JSON.
pub(crate) fn section<'a>(
    interface: &str,
    functions: impl IntoIterator<Item = (&'a str, &'a [String])>,
) -> Vec<u8> {
    let functions: Vec<String> = functions
        .into_iter()
        .filter(|(_, lines)| !lines.is_empty())
        .map(|(name, lines)| format!(r#""{name}":{{"docs":{}}}"#, quoted(&lines.join("\n"))))
        .collect();
    let json =
        format!(r#"{{"interfaces":{{"{interface}":{{"funcs":{{{}}}}}}}}}"#, functions.join(","));
    [b"\x01", json.as_bytes()].concat()
}

/// Text as JSON.
fn quoted(text: &str) -> String {
    let mut json = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            '\n' => json.push_str("\\n"),
            letter if letter.is_control() => {
                json.push_str(&format!("\\u{:04x}", u32::from(letter)))
            }
            letter => json.push(letter),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_become_json() {
        let item: syn::ItemFn = syn::parse_quote! {
            /// Says "hello".
            ///
            /// Twice\thrice.
            #[inline]
            fn greet() {}
        };
        let lines = of(&item.attrs);
        assert_eq!(lines, ["Says \"hello\".", "", "Twice\\thrice."]);
        let section = section("tasks", [("greet", lines.as_slice()), ("bare", &[])]);
        let docs = r#"{"interfaces":{"tasks":{"funcs":{"greet":{"docs":"Says \"hello\".\n\nTwice\\thrice."}}}}}"#;
        assert_eq!(String::from_utf8(section).unwrap(), format!("\u{1}{docs}"));
    }
}
