//! Which files a worker needs for the rest of its life, and which its helper does.

use std::path::{Path, PathBuf};

use umbel_engine::PluginSource;
use umbel_task::grants::Access;
use umbel_transport::address::{Address, Scheme};

use super::Ground;
use crate::settings::{Settings, variable};

/// What name resolution, TLS, clocks and the C library read, and what the kernel tells of us.
const SYSTEM: &[&str] = &[
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
    "/lib",
    "/lib64",
    "/proc",
    "/run/systemd/resolve",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/share/pki",
    "/usr/share/zoneinfo",
];

/// What a worker with these settings and plugins may touch. Makes the cache's folder, for what is
/// not there cannot be given.
pub(crate) fn of_worker(
    settings: &Settings,
    sources: &[PluginSource],
    cache: Option<&Path>,
) -> Ground {
    let mut ground =
        Ground { read: SYSTEM.iter().map(PathBuf::from).collect(), ..Ground::default() };
    let read = &mut ground.read;
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        read.extend(variable(name));
    }
    read.extend(settings.collector.iter().filter_map(|collector| collector.certificate.clone()));
    // A folder or file that was replaced is another one to the kernel: what may be replaced while
    // we run is given with the folder around it.
    read.push(settings.plugin_folder.clone());
    read.extend(around(&settings.plugin_folder));
    for source in sources {
        let file = source.file.canonicalize().unwrap_or_else(|_| source.file.clone());
        read.extend(around(&file));
        for dir in &source.grants.dirs {
            let given = if dir.access == Access::Read { &mut *read } else { &mut ground.write };
            given.push(dir.host.clone());
        }
        let store = source.grants.keyvalue.as_ref();
        let store = store.and_then(|granted| Address::parse(&granted.url).ok());
        read.extend(store.iter().flat_map(certificates));
    }
    read.push(settings.config_file.clone());
    read.extend(around(&settings.config_file));
    if let Some(cache) = cache {
        make_private(cache);
        ground.write.push(cache.to_owned());
    }
    for address in std::iter::once(&settings.broker).chain(&settings.results) {
        if address.scheme == Scheme::Sqlite {
            // Its journals come and go beside it.
            ground.write.extend(around(Path::new(&address.path)));
        }
        ground.read.extend(certificates(address));
    }
    if let Some(pidfile) = &settings.pidfile {
        ground.remove.extend(around(pidfile));
    }
    for paths in [&mut ground.read, &mut ground.write] {
        paths.sort();
        paths.dedup();
    }
    ground
}

/// The files that an address names and the folders around them: a certificate is renewed before it
/// expires.
fn certificates(address: &Address) -> impl Iterator<Item = PathBuf> + '_ {
    address.files().flat_map(|file| [Some(PathBuf::from(file)), around(Path::new(file))]).flatten()
}

/// The folder that a path is in, unless that is everything.
fn around(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let folder = path.parent()?;
    (folder != Path::new("/")).then(|| folder.to_owned())
}

fn make_private(folder: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    // Whoever opens it says what is wrong with it.
    let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
}

/// What it takes to start this very program again: itself and the libraries it is made of.
pub(crate) fn of_helper() -> Ground {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut execute: Vec<PathBuf> =
        maps.lines().filter_map(|line| line.find('/').map(|at| line[at..].into())).collect();
    execute.sort();
    execute.dedup();
    // Itself where its folder is closed to us.
    execute.push("/proc/self/exe".into());
    Ground { read: vec!["/etc/ld.so.cache".into()], execute, ..Ground::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_given_with_the_folder_around_it_but_never_everything() {
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(around(Path::new(path)), expected.map(PathBuf::from), "{path}");
        };
        check("/srv/umbel/plugins", Some("/srv/umbel"));
        check("/plugins", None);
        check("/", None);
        let here = std::env::current_dir().expect("there is a current folder");
        assert_eq!(around(Path::new("umbel.db")), Some(here));
    }

    #[test]
    fn the_helper_may_start_this_program() {
        let program = std::env::current_exe().expect("it is known");
        assert!(of_helper().execute.contains(&program));
    }
}
