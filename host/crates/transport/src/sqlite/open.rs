//! Opens the file and makes sure that it is ours; says in plain words why that failed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// Marks the file as ours ("Umbl").
const APPLICATION: i64 = 0x556d_626c;

/// What each layout of tables adds to the one before; this version reads and writes the last.
const LAYOUTS: [&str; 3] =
    [include_str!("tables_1.sql"), include_str!("tables_2.sql"), include_str!("tables_3.sql")];
const SCHEMA: i64 = LAYOUTS.len() as i64;

/// Another process may hold the write lock for one transaction, seldom longer than milliseconds.
const BUSY: Duration = Duration::from_secs(30);

/// Why a file cannot be our database. Text with a `help:` line.
#[derive(Debug, thiserror::Error)]
#[error("{what}\nhelp: {help}")]
pub(super) struct OpenError {
    pub(super) what: String,
    help: String,
    #[source]
    source: Option<rusqlite::Error>,
}

/// Two connections to one file: the first writes, the second reads.
pub(super) fn open(path: &Path) -> Result<(Connection, Connection), OpenError> {
    let failed = |error| explain(path, error);
    check_place(path)?;
    let mut writer = connect(path).map_err(failed)?;
    claim(path, &mut writer)?;
    let reader = connect(path).map_err(failed)?;
    Ok((writer, reader))
}

fn check_place(path: &Path) -> Result<(), OpenError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let refuse = |what: String, help: String| Err(OpenError { what, help, source: None });
    if !folder.is_dir() {
        return refuse(
            format!("cannot open `{}`: its folder does not exist", path.display()),
            format!("create it: mkdir -p '{}'", folder.display()),
        );
    }
    if path.is_dir() {
        return refuse(
            format!("cannot open `{}`: it is a folder", path.display()),
            "name a file in it: sqlite:///folder/umbel.db".into(),
        );
    }
    Ok(())
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // One thread for each connection: SQLite needs no lock of its own.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    let mut busy_since = None;
    // SQLite's own handler sleeps up to 100 ms at a time; ours looks again at once.
    connection.busy_handler(Some(move |tries: i32| {
        let now = std::time::Instant::now();
        let since = if tries == 0 { now } else { busy_since.unwrap_or(now) };
        busy_since = Some(since);
        std::thread::sleep(Duration::from_micros(if tries < 10 { 200 } else { 1000 }));
        now.duration_since(since) < BUSY
    }))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    // Where a worker may write is decided at its start; folders for temporary files are not among it.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// Makes the tables in a new file; refuses files that are somebody else's or newer than we are.
fn claim(path: &Path, connection: &mut Connection) -> Result<(), OpenError> {
    let failed = |error| explain(path, error);
    let refuse =
        |what: String, help: &str| Err(OpenError { what, help: help.to_owned(), source: None });
    if connection.is_readonly("main").map_err(failed)? {
        return refuse(
            format!("cannot write `{}`: it is read-only for this user", path.display()),
            WRITABLE,
        );
    }
    use_write_ahead_log(connection).map_err(failed)?;
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let application: i64 = pragma(&transaction, "application_id").map_err(failed)?;
    let schema: i64 = pragma(&transaction, "user_version").map_err(failed)?;
    let tables: i64 = transaction
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(failed)?;
    match (application, schema) {
        (APPLICATION, SCHEMA) => Ok(()),
        (0, 0) if tables == 0 => lay_out(transaction, 0).map_err(failed),
        (APPLICATION, older @ 1..SCHEMA) => lay_out(transaction, older).map_err(failed),
        (APPLICATION, newer) if newer > SCHEMA => refuse(
            format!(
                "`{}` was made by a newer umbel (layout {newer}; this one knows {SCHEMA})",
                path.display()
            ),
            "use that version of umbel, or name another file",
        ),
        _ => refuse(
            format!("`{}` is the database of another program", path.display()),
            "name another file; a new one is created",
        ),
    }
}

/// Brings a file from an older layout, or from none, to the last.
fn lay_out(transaction: rusqlite::Transaction<'_>, from: i64) -> rusqlite::Result<()> {
    for layout in LAYOUTS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        transaction.execute_batch(layout)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()
}

/// Changing to the log needs the file for a moment alone, and SQLite does not wait for that.
fn use_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    let end = std::time::Instant::now() + BUSY;
    loop {
        let mode = connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode {
            Err(error) if is_busy(&error) && std::time::Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(2));
            }
            mode => return mode.map(|_| ()),
        }
    }
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

const WRITABLE: &str = "the file and its folder must be writable for the user that runs umbel; \
     SQLite keeps two more files beside it";

/// SQLite's error in words that name the file and the way out.
pub(super) fn explain(path: &Path, error: rusqlite::Error) -> OpenError {
    let (what, help) = words(path, &error);
    OpenError { what, help: help.to_owned(), source: Some(error) }
}

/// What went wrong, and the way out.
pub(super) fn words(path: &Path, error: &rusqlite::Error) -> (String, &'static str) {
    let path = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => (
            format!("`{path}` is not an SQLite database"),
            "name another file; a new one is created",
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            (format!("cannot open or create `{path}`"), WRITABLE)
        }
        Some(ErrorCode::ReadOnly) => (format!("cannot write `{path}`: it is read-only"), WRITABLE),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            format!("`{path}` was locked by another process for {} s", BUSY.as_secs()),
            "find the program that keeps a transaction open: fuser -v on the file",
        ),
        Some(ErrorCode::DiskFull) => {
            (format!("no space left for `{path}`"), "free some space on its file system")
        }
        Some(ErrorCode::DatabaseCorrupt) => (
            format!("`{path}` is damaged"),
            "move it away and start with a new one; `sqlite3 FILE .recover` may save messages",
        ),
        _ => (
            format!("`{path}`: {error}"),
            "look at the file system that holds the file; it must be a local one",
        ),
    }
}

/// Shared by whoever waits for one transaction.
pub(super) type SqlError = Arc<rusqlite::Error>;
