//! One file, two threads: a writer that commits in groups and a reader that watches for changes.
//! No SQLite call ever runs on the async runtime.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::open::{self, OpenError, SqlError, words};
use super::stir::{LOOKING, Rhythm, WATCHING, Watch};
use crate::broker::BrokerError;
use crate::results::StoreError;

/// At most so many pieces of work share a transaction, so that none waits long for its commit.
const GROUP: usize = 1024;

/// The current time in SQL, milliseconds since the epoch: leases are compared between processes.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}
pub(super) use now;

type Answer = Box<dyn FnOnce(Option<&SqlError>) + Send>;
/// Given the reason instead of a connection, it only answers.
type Write = Box<dyn FnOnce(Result<&Connection, &SqlError>) -> Worked + Send>;
type Read = Box<dyn FnOnce(&Connection) + Send>;

/// What the reader is asked.
enum Ask {
    Read(Read),
    /// Look whether something changed, and again soon.
    Stir,
}

/// Done in the transaction, not yet committed.
struct Worked {
    failed: Option<SqlError>,
    answer: Answer,
}

/// Why work on the file was not done.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Closed,
    Sql(SqlError),
}

/// An open file.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    links: Mutex<Option<Links>>,
    changes: watch::Sender<u64>,
    watch: Mutex<Option<Watch>>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

#[derive(Clone, Debug)]
struct Links {
    // As many as may share a transaction; publishers beyond that wait.
    writer: mpsc::Sender<Write>,
    // Unbounded: each reader waits for its own answer.
    reader: blocking::Sender<Ask>,
}

impl Database {
    /// Opens or creates the file; blocking work happens on a thread of its own.
    pub(super) async fn open(path: &str) -> Result<Arc<Database>, OpenError> {
        let path = PathBuf::from(path);
        let opened = {
            let path = path.clone();
            let (tell, told) = oneshot::channel();
            std::thread::spawn(move || tell.send(open::open(&path)));
            told.await
        };
        let (writes, reads) = opened.expect("the opening thread always answers")?;

        let (changes, _) = watch::channel(0);
        let (writer, write_jobs) = mpsc::channel(GROUP);
        let (reader, read_jobs) = blocking::channel();
        let stirred = reader.clone();
        let watch = Watch::start(&path, move || stirred.send(Ask::Stir).is_ok());
        let rhythm = if watch.is_some() { WATCHING } else { LOOKING };
        let threads = vec![
            std::thread::spawn({
                let changes = changes.clone();
                move || write_loop(&writes, write_jobs, &changes)
            }),
            std::thread::spawn({
                let changes = changes.clone();
                move || read_loop(&reads, &read_jobs, &changes, rhythm)
            }),
        ];
        Ok(Arc::new(Database {
            path,
            links: Mutex::new(Some(Links { writer, reader })),
            changes,
            watch: Mutex::new(watch),
            threads: Mutex::new(threads),
        }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Does `work` in a transaction shared with others; returns once that is committed. When `work`
    /// fails, only its own changes are undone.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let job: Write = Box::new(move |connection| {
            let done = match connection {
                Ok(connection) => work(connection).map_err(Arc::new),
                Err(error) => Err(error.clone()),
            };
            Worked {
                failed: done.as_ref().err().cloned(),
                answer: Box::new(move |lost| {
                    // Whoever asked may have gone; the work is done all the same.
                    let _ = tell.send(match lost {
                        None => done,
                        Some(error) => Err(error.clone()),
                    });
                }),
            }
        });
        let writer = self.links()?.writer;
        writer.send(job).await.map_err(|_| Failure::Closed)?;
        drop(writer);
        told.await.map_err(|_| Failure::Closed)?.map_err(Failure::Sql)
    }

    /// Reads what is committed.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let job: Read = Box::new(move |connection| {
            let _ = tell.send(work(connection).map_err(Arc::new));
        });
        self.links()?.reader.send(Ask::Read(job)).map_err(|_| Failure::Closed)?;
        told.await.map_err(|_| Failure::Closed)?.map_err(Failure::Sql)
    }

    /// Changes after every commit of any process, some milliseconds later at most.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        let changes = self.changes.subscribe();
        // The reader sleeps while nobody watches.
        if let Ok(links) = self.links() {
            let _ = links.reader.send(Ask::Stir);
        }
        changes
    }

    /// Takes no more work, finishes what there is and closes the file.
    pub(super) async fn close(&self) {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(links);
        // Its thread holds a link to the reader.
        drop(self.watch.lock().unwrap_or_else(PoisonError::into_inner).take());
        let threads: Vec<_> =
            self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        let (tell, told) = oneshot::channel();
        std::thread::spawn(move || {
            for thread in threads {
                // A panicked thread has closed its connection as well.
                let _ = thread.join();
            }
            let _ = tell.send(());
        });
        let _ = told.await;
    }

    fn links(&self) -> Result<Links, Failure> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Failure::Closed)
    }
}

fn write_loop(
    connection: &Connection,
    mut jobs: mpsc::Receiver<Write>,
    changes: &watch::Sender<u64>,
) {
    let mut group = Vec::with_capacity(GROUP);
    while let Some(first) = jobs.blocking_recv() {
        group.push(first);
        while group.len() < GROUP
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
        commit(connection, &mut group);
        changes.send_modify(|count| *count += 1);
    }
}

/// Runs a group of jobs in one transaction and answers them.
fn commit(connection: &Connection, group: &mut Vec<Write>) {
    let run = |sql: &str| -> Result<(), SqlError> {
        connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    };
    // Why the whole transaction is lost, once it is.
    let mut lost = run("BEGIN IMMEDIATE").err();
    let mut answers = Vec::with_capacity(group.len());
    for job in group.drain(..) {
        if lost.is_none() {
            lost = run("SAVEPOINT work").err();
        }
        let worked = job(lost.as_ref().map_or(Ok(connection), Err));
        answers.push(worked.answer);
        lost = lost.or_else(|| match worked.failed {
            // A full disk, for one, takes the transaction along.
            Some(error) if connection.is_autocommit() => Some(error),
            Some(_) => run("ROLLBACK TO work").and_then(|()| run("RELEASE work")).err(),
            None => run("RELEASE work").err(),
        });
    }
    if lost.is_none() {
        lost = run("COMMIT").err();
    }
    if lost.is_some() && !connection.is_autocommit() {
        // Nothing was committed; should this fail too, the next BEGIN tells.
        let _ = run("ROLLBACK");
    }
    for answer in answers {
        answer(lost.as_ref());
    }
}

fn read_loop(
    connection: &Connection,
    jobs: &blocking::Receiver<Ask>,
    changes: &watch::Sender<u64>,
    rhythm: Rhythm,
) {
    let mut seen = None;
    let mut stirred = Instant::now();
    loop {
        let job = if changes.receiver_count() == 0 {
            jobs.recv().map_err(|_| blocking::RecvTimeoutError::Disconnected)
        } else {
            let lively = stirred.elapsed() < rhythm.lively;
            jobs.recv_timeout(if lively { rhythm.short } else { rhythm.long })
        };
        match job {
            Ok(Ask::Read(job)) => job(connection),
            Ok(Ask::Stir) => stirred = Instant::now(),
            Err(blocking::RecvTimeoutError::Timeout) => {}
            Err(blocking::RecvTimeoutError::Disconnected) => return,
        }
        let version = connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut ask| ask.query_row([], |row| row.get::<_, i64>(0)))
            .ok();
        if version != seen {
            seen = version;
            stirred = Instant::now();
            changes.send_modify(|count| *count += 1);
        }
    }
}

impl Failure {
    pub(super) fn broker(self, path: &Path) -> BrokerError {
        match self {
            Failure::Closed => BrokerError::Closed,
            Failure::Sql(error) => {
                BrokerError::Other { what: text(path, &error), source: error.into() }
            }
        }
    }

    pub(super) fn store(self, path: &Path) -> StoreError {
        match self {
            Failure::Closed => StoreError::Other { what: "closed".into(), source: "closed".into() },
            Failure::Sql(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::TooBig) =>
            {
                StoreError::Unstorable { what: "the record is larger than SQLite stores".into() }
            }
            Failure::Sql(error) => {
                StoreError::Other { what: text(path, &error), source: error.into() }
            }
        }
    }
}

fn text(path: &Path, error: &rusqlite::Error) -> String {
    let (what, help) = words(path, error);
    format!("{what}\nhelp: {help}")
}
