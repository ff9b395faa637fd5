//! The files that this crate carries: templates, helpers, the host's WIT.

/// Where each lies (`sdk/c/template/README.md`, `wit/task.wit`, `go-runtime/go.mod`), and what it holds.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The files below a folder, or the file itself: the place within the folder, and the content.
pub(crate) fn below(folder: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    let folder = folder.to_owned();
    FILES.iter().filter_map(move |(place, content)| {
        let rest = place.strip_prefix(folder.as_str())?;
        match rest.strip_prefix('/') {
            Some(inside) => Some((inside, *content)),
            None if rest.is_empty() => Some((place.rsplit('/').next().unwrap_or(place), *content)),
            None => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_wit_and_gos_runtime_are_there() {
        assert_eq!(below("wit/task.wit").next().map(|(name, _)| name), Some("task.wit"));
        assert!(below("go-runtime").any(|(place, _)| place == "wit/runtime/runtime.go"));
        assert_eq!(below("wi").count(), 0);
    }
}
