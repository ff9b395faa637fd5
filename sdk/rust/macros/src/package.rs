//! The WIT package of a plugin: the crate's name, or what the author says.

use std::fmt;

use proc_macro2::Ident;
use syn::parse::{Parse, ParseStream};
use syn::{LitStr, Token};

/// The WIT package of a plugin.
pub(crate) struct Package {
    pub(crate) namespace: String,
    pub(crate) name: String,
    version: Option<String>,
}

impl Parse for Package {
    fn parse(input: ParseStream<'_>) -> syn::Result<Package> {
        if input.is_empty() {
            return Ok(Package::of_crate());
        }
        let key: Ident = input.parse()?;
        if key != "package" {
            let what = format!(
                "`{key}` is no option of `umbel::tasks`\nhelp: there is `package = \"acme:images\"`"
            );
            return Err(syn::Error::new(key.span(), what));
        }
        input.parse::<Token![=]>()?;
        let text: LitStr = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        Package::named(&text.value()).ok_or_else(|| {
            let what = "this is no name of a WIT package\nhelp: write it as `acme:images` or `acme:images@1.0.0`";
            syn::Error::new(text.span(), what)
        })
    }
}

impl Package {
    /// `plugin:` and the name of the crate that is compiled.
    fn of_crate() -> Package {
        let name = std::env::var_os("CARGO_PKG_NAME")
            .and_then(|name| name.into_string().ok())
            .unwrap_or_default()
            .to_lowercase()
            .replace('_', "-");
        let name = if is_kebab(&name) { name } else { "tasks".to_string() };
        Package { namespace: "plugin".to_string(), name, version: None }
    }

    fn named(text: &str) -> Option<Package> {
        let (text, version) = match text.split_once('@') {
            Some((text, version)) => (text, Some(version.to_string())),
            None => (text, None),
        };
        let (namespace, name) = text.split_once(':')?;
        let fits = is_kebab(namespace) && is_kebab(name);
        fits.then(|| Package { namespace: namespace.to_string(), name: name.to_string(), version })
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}:%{}", self.namespace, self.name)?;
        self.version.iter().try_for_each(|version| write!(f, "@{version}"))
    }
}

fn is_kebab(name: &str) -> bool {
    let word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    name.split('-').all(word)
}
