//! One stream over many queues that outlives its connections.
//!
//! A task of its own takes, hands out, settles and reconnects, whether or not anybody waits for
//! the next delivery.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::connection::Link;
use super::session::{self, Event, Lost, Session};
use super::topology::Queue;
use crate::broker::{BrokerError, Consumer};
use crate::delivery::{Delivery, Settle, Settlement};
use crate::presence::Line;

/// So many settlements are carried out before anything else gets its turn.
const BATCH: usize = 1024;

/// The receiving end.
pub(crate) struct AmqpConsumer {
    // Unbounded: never holds more than the window's deliveries.
    deliveries: mpsc::UnboundedReceiver<Handed>,
    commands: mpsc::Sender<Command>,
    generation: Arc<AtomicU32>,
    stopped: bool,
}

struct Handed {
    generation: u32,
    delivery: Result<Delivery, BrokerError>,
}

enum Command {
    Resize(u16, oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

/// The working end.
pub(crate) struct Pump {
    link: Arc<Link>,
    line: Line,
    queues: Vec<Queue>,
    window: u16,
    generation: u32,
    shared_generation: Arc<AtomicU32>,
    hand_to: mpsc::UnboundedSender<Handed>,
    commands: mpsc::Receiver<Command>,
    settles: mpsc::UnboundedReceiver<Settle>,
    settle_to: mpsc::UnboundedSender<Settle>,
    batch: Vec<Settle>,
}

/// Why a session is no longer served.
enum End {
    Lost(Lost),
    Stopped,
    Closed,
}

enum Turn {
    Event(Event),
    Settle,
    Command(Option<Command>),
    Closed,
}

/// A consumer of `queues` over `session`, and what keeps it going.
pub(crate) fn start(
    link: Arc<Link>,
    queues: Vec<Queue>,
    window: u16,
    line: Line,
) -> (AmqpConsumer, Pump) {
    let (hand_to, deliveries) = mpsc::unbounded_channel();
    // One caller at a time: the consumer's methods take `&mut self`.
    let (command_to, commands) = mpsc::channel(1);
    let (settle_to, settles) = mpsc::unbounded_channel();
    let generation = Arc::new(AtomicU32::new(0));
    let consumer = AmqpConsumer {
        deliveries,
        commands: command_to,
        generation: generation.clone(),
        stopped: false,
    };
    let pump = Pump {
        link,
        line,
        queues,
        window,
        generation: 0,
        shared_generation: generation,
        hand_to,
        commands,
        settles,
        settle_to,
        batch: Vec::with_capacity(BATCH),
    };
    (consumer, pump)
}

#[async_trait]
impl Consumer for AmqpConsumer {
    async fn next(&mut self) -> Result<Option<Delivery>, BrokerError> {
        loop {
            match self.deliveries.recv().await {
                Some(Handed { delivery: Err(error), .. }) => return Err(error),
                Some(Handed { generation, delivery: Ok(delivery) }) => {
                    // Void since the connection was lost: the same message comes again.
                    if generation == self.generation.load(Ordering::Acquire) {
                        return Ok(Some(delivery));
                    }
                }
                None if self.stopped => return Ok(None),
                None => return Err(BrokerError::Closed),
            }
        }
    }

    async fn resize(&mut self, window: u16) -> Result<(), BrokerError> {
        let (done, told) = oneshot::channel();
        let sent = self.commands.send(Command::Resize(window, done)).await;
        sent.map_err(|_| BrokerError::Closed)?;
        told.await.map_err(|_| BrokerError::Closed)
    }

    async fn stop(&mut self) -> Result<(), BrokerError> {
        let (done, told) = oneshot::channel();
        if self.commands.send(Command::Stop(done)).await.is_ok() {
            // A pump that ended has given everything back.
            let _ = told.await;
        }
        self.stopped = true;
        self.deliveries.close();
        while let Some(handed) = self.deliveries.recv().await {
            if let Ok(delivery) = handed.delivery {
                // Void ones come again by themselves.
                let _ = delivery.receipt.settle(Settlement::Requeue).await;
            }
        }
        Ok(())
    }
}

impl Pump {
    /// The first session; its errors are the caller's.
    pub(crate) async fn open(&self) -> Result<Session, BrokerError> {
        let connection = self.link.connection().await?;
        let (link, queues) = (self.link.clone(), self.queues.clone());
        Session::open(link, connection, queues, self.window, self.generation).await
    }

    /// Runs until everything is settled after a stop, until an error that is final, or until the
    /// broker is closed.
    pub(crate) async fn run(mut self, mut session: Session) {
        loop {
            let lost = match self.serve(&mut session).await {
                End::Lost(Lost(error)) => error,
                End::Stopped => return self.settle_the_rest(Some(session)).await,
                End::Closed => return self.close(session).await,
            };
            self.line.lost();
            self.generation += 1;
            self.shared_generation.store(self.generation, Ordering::Release);
            drop(session);
            if session::is_final(&lost) {
                return self.fail(lost).await;
            }
            let address = self.link.address();
            tracing::warn!(%address, reason = session::reason(&lost), "connection lost");
            session = match self.reopen().await {
                Ok(Some(session)) => session,
                Ok(None) => return self.settle_the_rest(None).await,
                Err(error) => return self.fail(error).await,
            };
            self.line.back();
            tracing::info!(address = %self.link.address(), "connected again");
        }
    }

    async fn serve(&mut self, session: &mut Session) -> End {
        loop {
            while let Some(delivery) = session.lanes.hand_out() {
                let handed = Handed { generation: self.generation, delivery: Ok(delivery) };
                if self.hand_to.send(handed).is_err() {
                    // Dropped by its owner; the command channel tells the same.
                    break;
                }
            }
            session.adjust();
            let turn = tokio::select! {
                biased;
                () = self.link.closed.cancelled() => Turn::Closed,
                command = self.commands.recv() => Turn::Command(command),
                _ = self.settles.recv_many(&mut self.batch, BATCH) => Turn::Settle,
                event = session.event() => Turn::Event(event),
            };
            match turn {
                Turn::Closed => return End::Closed,
                Turn::Settle => session.settle(&mut self.batch).await,
                Turn::Event(event) => {
                    if let Err(lost) = session.note(event, &self.settle_to) {
                        return End::Lost(lost);
                    }
                }
                Turn::Command(Some(Command::Resize(window, done))) => {
                    self.window = window;
                    session.lanes.window = window.max(1);
                    let _ = done.send(());
                }
                Turn::Command(Some(Command::Stop(done))) => {
                    self.stop(session).await;
                    let _ = done.send(());
                    return End::Stopped;
                }
                Turn::Command(None) => {
                    self.stop(session).await;
                    return End::Stopped;
                }
            }
        }
    }

    /// Gives back what was not handed out.
    async fn stop(&mut self, session: &mut Session) {
        // A channel that is lost gives everything back by itself.
        if let Ok(waiting) = session.stop(&self.settle_to).await {
            // Their receipts ask for redelivery.
            drop(waiting);
            self.settle_what_came(session).await;
        }
    }

    async fn settle_what_came(&mut self, session: &mut Session) {
        while let Ok(settle) = self.settles.try_recv() {
            self.batch.push(settle);
        }
        session.settle(&mut self.batch).await;
        session.flush().await;
    }

    /// A new session, with patience; `None` when it is no longer wanted.
    async fn reopen(&mut self) -> Result<Option<Session>, BrokerError> {
        let (link, queues) = (self.link.clone(), self.queues.clone());
        let (window, generation) = (self.window, self.generation);
        let opening = link.persist(|connection| {
            Session::open(link.clone(), connection, queues.clone(), window, generation)
        });
        tokio::pin!(opening);
        loop {
            tokio::select! {
                opened = &mut opening => {
                    return opened.map(|mut session| {
                        session.lanes.window = self.window.max(1);
                        Some(session)
                    });
                }
                _ = self.settles.recv_many(&mut self.batch, BATCH) => {
                    session::all_stale(&mut self.batch);
                }
                command = self.commands.recv() => match command {
                    Some(Command::Resize(window, done)) => {
                        self.window = window;
                        let _ = done.send(());
                    }
                    Some(Command::Stop(done)) => {
                        let _ = done.send(());
                        return Ok(None);
                    }
                    None => return Ok(None),
                },
            }
        }
    }

    /// Settles what is still out, until nothing is.
    async fn settle_the_rest(mut self, mut session: Option<Session>) {
        // From now on only receipts can settle, and a second stop has nothing to wait for.
        drop((self.settle_to, self.hand_to, self.commands));
        loop {
            tokio::select! {
                biased;
                () = self.link.closed.cancelled() => break,
                count = self.settles.recv_many(&mut self.batch, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    match &mut session {
                        Some(session) => session.settle(&mut self.batch).await,
                        None => session::all_stale(&mut self.batch),
                    }
                }
                event = async {
                    match &mut session {
                        Some(session) => session.event().await,
                        None => std::future::pending().await,
                    }
                } => drop(event),
            }
        }
        if let Some(mut session) = session {
            while let Ok(settle) = self.settles.try_recv() {
                self.batch.push(settle);
            }
            session.settle(&mut self.batch).await;
            session.close().await;
        }
    }

    async fn close(mut self, mut session: Session) {
        self.settle_what_came(&mut session).await;
        session.close().await;
    }

    /// Hands the error out; everything unsettled is void.
    async fn fail(mut self, error: BrokerError) {
        let failed = Handed { generation: self.generation, delivery: Err(error) };
        // Nobody listens any more: nobody is missing it.
        let _ = self.hand_to.send(failed);
        drop((self.settle_to, self.hand_to, self.commands));
        loop {
            let count = tokio::select! {
                () = self.link.closed.cancelled() => return,
                count = self.settles.recv_many(&mut self.batch, BATCH) => count,
            };
            if count == 0 {
                return;
            }
            session::all_stale(&mut self.batch);
        }
    }
}
