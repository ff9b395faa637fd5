//! Becoming an unprivileged user. System calls here change one thread: call before any other starts.

use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};
use rustix::process::{getegid, geteuid, getgid, getuid};

use crate::fault::{Code, Fault};
use crate::settings::Settings;

/// Who a process is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
    /// Every group, `gid` among them.
    groups: Vec<u32>,
    name: String,
}

/// Refuses to stay root by accident; names the account to become, if any.
pub(crate) fn choose(settings: &Settings) -> Result<Option<Account>, Fault> {
    let user = settings.uid.as_deref();
    let group = settings.gid.as_deref();
    if geteuid().is_root() {
        if user.is_none() && group.is_none() && !settings.allow_root {
            let who = format!(
                "uid={} euid={} gid={} egid={}",
                getuid().as_raw(),
                geteuid().as_raw(),
                getgid().as_raw(),
                getegid().as_raw()
            );
            let what = "a worker does not run with superuser privileges: whoever got out of a \
                        task's sandbox would own this machine";
            return Err(Fault::new(Code::Permission, format!("{what}\nUser information: {who}"))
                .help("name another user (`--uid nobody`), or insist with `--allow-root`"));
        }
        if user.is_none() && group.is_none() {
            return Ok(None);
        }
        let Some(user) = user else {
            let fault = Fault::new(Code::Permission, "`--gid` alone would stay root");
            return Err(fault.help("name the user with `--uid` as well"));
        };
        let account = look_up(user, group, &read("/etc/passwd"), &read("/etc/group"))?;
        if account.uid == 0 && !settings.allow_root {
            return Err(Fault::new(Code::Permission, format!("`--uid {user}` is root"))
                .help("name an unprivileged user, or insist with `--allow-root`"));
        }
        return Ok(Some(account));
    }
    let Some(user) = user else { return Ok(None) };
    let account = look_up(user, group, &read("/etc/passwd"), &read("/etc/group"))?;
    if account.uid == geteuid().as_raw() {
        return Ok(None);
    }
    let what = format!("only root can become `{user}`; this process is {}", geteuid().as_raw());
    Err(Fault::new(Code::Permission, what).help("start it as root, or leave `--uid` out"))
}

/// Becomes the account for good.
pub(crate) fn become_account(account: &Account) -> Result<(), Fault> {
    let groups: Vec<Gid> = account.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let changed = rustix::thread::set_thread_groups(&groups)
        .and_then(|()| rustix::thread::set_thread_gid(Gid::from_raw(account.gid)))
        .and_then(|()| rustix::thread::set_thread_uid(Uid::from_raw(account.uid)))
        .and_then(|()| rustix::thread::set_no_new_privs(true));
    if let Err(error) = changed {
        let what = format!("cannot become user `{}`: {error}", account.name);
        return Err(Fault::new(Code::Permission, what));
    }
    let back = rustix::thread::set_thread_uid(Uid::ROOT);
    if account.uid != 0 && (back.is_ok() || geteuid().is_root() || getuid().is_root()) {
        let what = format!("became user `{}`, but could turn back into root", account.name);
        return Err(Fault::new(Code::Permission, what));
    }
    Ok(())
}

/// The folder for compiled code: what was asked for, else a private one of the user that will run.
/// Made here while we may still be root.
pub(crate) fn cache_folder(
    wanted: Option<&Path>,
    account: Option<&Account>,
    variables: &dyn Fn(&str) -> Option<PathBuf>,
) -> Result<Option<PathBuf>, Fault> {
    let folder = match (wanted, account) {
        (Some(folder), _) => folder.to_owned(),
        (None, Some(account)) => PathBuf::from(format!("/var/cache/umbel-{}", account.uid)),
        (None, None) => {
            let home = variables("XDG_CACHE_HOME")
                .or_else(|| variables("HOME").map(|home| home.join(".cache")));
            match home {
                Some(home) if home.is_absolute() => home.join("umbel"),
                _ => return Ok(None),
            }
        }
    };
    if let Some(account) = account
        && !folder.exists()
    {
        let made = std::fs::create_dir_all(&folder).and_then(|()| give(&folder, account));
        made.map_err(|error| {
            Fault::failure(format!("cannot make the cache folder {}: {error}", folder.display()))
        })?;
    }
    Ok(Some(folder))
}

/// Hands a file or folder over to the account; a folder becomes private to it.
pub(crate) fn give(path: &Path, account: &Account) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    rustix::fs::chown(path, Some(uid), Some(gid))?;
    if path.is_dir() {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Finds user and groups in the texts of `/etc/passwd` and `/etc/group`.
fn look_up(user: &str, group: Option<&str>, passwd: &str, groups: &str) -> Result<Account, Fault> {
    let number = user.parse::<u32>().ok();
    let found = lines(passwd).find(|fields| match number {
        Some(uid) => fields.get(2).and_then(|f| f.parse().ok()) == Some(uid),
        None => fields.first() == Some(&user),
    });
    let (name, uid, own_gid) = match (&found, number) {
        (Some(fields), _) => {
            let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
            let (Some(uid), Some(gid)) = (number(2), number(3)) else {
                return Err(Fault::usage(format!("/etc/passwd has a broken line for `{user}`")));
            };
            (fields[0].to_owned(), uid, Some(gid))
        }
        (None, Some(uid)) => (user.to_owned(), uid, None),
        (None, None) => {
            return Err(Fault::usage(format!("no user is called `{user}`"))
                .help("name a user of /etc/passwd, or give a number"));
        }
    };
    let gid = match (group, own_gid) {
        (Some(group), _) => look_up_group(group, groups)?,
        (None, Some(gid)) => gid,
        (None, None) => {
            let fault = Fault::usage(format!("user {uid} is not in /etc/passwd and has no group"));
            return Err(fault.help("give one with `--gid`"));
        }
    };
    let mut all = vec![gid];
    for fields in lines(groups) {
        let member = fields.get(3).is_some_and(|users| users.split(',').any(|u| u == name));
        if let (true, Some(gid)) = (member, fields.get(2).and_then(|f| f.parse().ok()))
            && !all.contains(&gid)
        {
            all.push(gid);
        }
    }
    Ok(Account { uid, gid, groups: all, name })
}

fn look_up_group(group: &str, groups: &str) -> Result<u32, Fault> {
    if let Ok(gid) = group.parse() {
        return Ok(gid);
    }
    let found = lines(groups).find(|fields| fields[0] == group);
    found.and_then(|fields| fields.get(2)?.parse().ok()).ok_or_else(|| {
        Fault::usage(format!("no group is called `{group}`"))
            .help("name a group of /etc/group, or give a number")
    })
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(':').collect())
}

fn read(path: &str) -> String {
    // A container without the file has no names: numbers still work.
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\numbel:x:990:991::/var/lib/umbel:/bin/false\n";
    const GROUPS: &str = "root:x:0:\numbel:x:991:\ndata:x:50:alice,umbel\ndocker:x:60:alice\n";

    fn account(uid: u32, gid: u32, groups: &[u32], name: &str) -> Account {
        Account { uid, gid, groups: groups.to_vec(), name: name.to_owned() }
    }

    #[test]
    fn users_are_found_by_name_and_number_with_all_their_groups() {
        for (user, group, expected) in [
            ("umbel", None, account(990, 991, &[991, 50], "umbel")),
            ("990", None, account(990, 991, &[991, 50], "umbel")),
            ("umbel", Some("data"), account(990, 50, &[50], "umbel")),
            ("umbel", Some("7"), account(990, 7, &[7, 50], "umbel")),
            ("4242", Some("data"), account(4242, 50, &[50], "4242")),
        ] {
            let found = look_up(user, group, PASSWD, GROUPS).expect(user);
            assert_eq!(found, expected, "{user} {group:?}");
        }
    }

    #[test]
    fn unknown_users_and_groups_are_named() {
        for (user, group, what) in [
            ("bob", None, "no user is called `bob`"),
            ("4242", None, "user 4242 is not in /etc/passwd and has no group"),
            ("umbel", Some("nogroup"), "no group is called `nogroup`"),
        ] {
            assert_eq!(look_up(user, group, PASSWD, GROUPS).expect_err(what).what, what);
        }
    }
}
