//! One channel's life: its consumers, what arrived, what is unsettled. Void once the channel is.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions, BasicRejectOptions};
use lapin::types::ShortString;
use lapin::{Channel, Connection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use umbel_protocol::message::{RawMessage, Route};

use super::change::{Change, Changed};
use super::connection::{Link, reply_code};
use super::lanes::{Lanes, Owner, Step};
use super::ledger::{Frame, Ledger};
use super::topology::{self, Existing, Queue};
use super::{deaths, delays, table};
use crate::broker::BrokerError;
use crate::delivery::{Delivery, Receipt, Settle, Tag};

/// Slots must be free for so long before a queue gets more than its share: while all are busy,
/// one of them often has to wait a moment.
const IDLE: Duration = Duration::from_millis(20);

/// So many deliveries are taken from the library before anything else gets its turn.
const BATCH: usize = 256;

type LibraryDelivery = lapin::message::Delivery;
type Told = Option<oneshot::Sender<Result<(), BrokerError>>>;

/// A channel that is consumed from.
pub(crate) struct Session {
    pub(crate) lanes: Lanes<Delivery>,
    /// As many as lanes, in their order.
    queues: Vec<Queue>,
    link: Arc<Link>,
    connection: Arc<Connection>,
    channel: Arc<Channel>,
    generation: u32,
    streams: Vec<Source>,
    ledger: Ledger<Owner>,
    /// Settlements on their way to the socket.
    writes: FuturesUnordered<BoxFuture<'static, ()>>,
    /// The one change of consumers that is under way.
    change: Option<BoxFuture<'static, Result<Changed, BrokerError>>>,
    ids: u32,
    /// Since when slots are free that another queue could use.
    idle: Option<Instant>,
}

struct Source {
    owner: Owner,
    stream: lapin::Consumer,
}

/// What happened on the channel.
pub(crate) enum Event {
    Arrived {
        deliveries: Vec<(Owner, LibraryDelivery)>,
        ended: Option<Ended>,
    },
    Changed(Box<Result<Changed, BrokerError>>),
    /// Some settlements are written.
    Written,
    /// Slots were free for long enough.
    Idle,
}

/// A stream of deliveries came to its end.
pub(crate) struct Ended {
    owner: Owner,
    error: Option<lapin::Error>,
}

/// The channel is gone, or has to go.
#[derive(Debug)]
pub(crate) struct Lost(pub(crate) BrokerError);

impl Session {
    /// Declares the queues and starts to consume.
    pub(crate) async fn open(
        link: Arc<Link>,
        connection: Arc<Connection>,
        queues: Vec<Queue>,
        window: u16,
        generation: u32,
    ) -> Result<Session, BrokerError> {
        for queue in &queues {
            topology::declare(&link, &connection, queue, Existing::Refuse).await?;
        }
        let names: Vec<Arc<str>> = queues.iter().map(|queue| queue.name.clone()).collect();
        delays::prepare(&link, &connection, &names).await?;
        let channel = connection.create_channel().await;
        let channel = channel.map_err(|e| link.error("cannot open a channel", e))?;
        let mut session = Session {
            lanes: Lanes::new(&names, window),
            queues,
            link,
            connection,
            channel: Arc::new(channel),
            generation,
            streams: Vec::new(),
            ledger: Ledger::new(),
            writes: FuturesUnordered::new(),
            change: None,
            ids: 0,
            idle: None,
        };
        while session.streams.len() < names.len() {
            let Some(step) = session.lanes.step() else { break };
            let changed = session.carry_out(step, false).await?;
            session.changed(changed);
        }
        Ok(session)
    }

    /// Starts the next change of consumers, if one is due and none is under way.
    pub(crate) fn adjust(&mut self) {
        if self.change.is_some() {
            self.idle = None;
            return;
        }
        let step = self.lanes.step();
        if let Some(Step::Grow { .. }) = step
            && self.lanes.lanes.len() > 1
            && self.idle.get_or_insert_with(Instant::now).elapsed() < IDLE
        {
            return;
        }
        self.idle = None;
        if let Some(step) = step {
            // A queue without consumers was deleted or moved: it may have to be declared anew.
            let lane = match step {
                Step::Add { lane, .. } | Step::Grow { lane, .. } => lane,
                Step::Replace { lane, .. } | Step::End { lane } => lane,
            };
            let declare = self.lanes.lanes[lane].consumers.is_empty();
            self.change = Some(self.carry_out(step, declare));
        }
    }

    /// The next thing that happens. Cancel safe.
    pub(crate) async fn event(&mut self) -> Event {
        let Session { streams, writes, change, idle, .. } = self;
        let idle_enough = async {
            match idle {
                Some(since) => tokio::time::sleep_until(*since + IDLE).await,
                None => pending().await,
            }
        };
        let changed = async {
            match change.as_mut() {
                Some(change) => change.await,
                None => pending().await,
            }
        };
        tokio::select! {
            changed = changed => {
                self.change = None;
                Event::Changed(Box::new(changed))
            }
            Some(()) = writes.next() => Event::Written,
            () = idle_enough => Event::Idle,
            event = poll_fn(|context| poll_streams(streams, context)) => event,
        }
    }

    /// Takes note of what happened.
    pub(crate) fn note(
        &mut self,
        event: Event,
        settle_to: &mpsc::UnboundedSender<Settle>,
    ) -> Result<(), Lost> {
        match event {
            Event::Written | Event::Idle => Ok(()),
            Event::Changed(changed) => {
                self.changed((*changed).map_err(Lost)?);
                Ok(())
            }
            Event::Arrived { deliveries, ended } => {
                for (owner, delivery) in deliveries {
                    self.arrived(owner, delivery, settle_to);
                }
                ended.map_or(Ok(()), |ended| self.ended(ended))
            }
        }
    }

    /// Settles a batch with as few frames as possible. Everyone is told once theirs are written.
    pub(crate) async fn settle(&mut self, batch: &mut Vec<Settle>) {
        let mut settlements = Vec::with_capacity(batch.len());
        let mut told = Vec::with_capacity(batch.len());
        for Settle { tag, generation, how, done } in batch.drain(..) {
            match tag {
                Tag::Number(tag) if generation == self.generation => {
                    settlements.push((tag, how));
                    told.push(done);
                }
                _ => tell(done, Err(BrokerError::Stale)),
            }
        }
        let (frames, owners) = self.ledger.settle(&settlements);
        owners.into_iter().for_each(|owner| self.lanes.settled(owner));
        let mut failed = false;
        let mut writes = Vec::new();
        for frame in frames {
            let mut write = Box::pin(send(self.channel.clone(), frame));
            // The first poll queues the frame; in this order and no other.
            match futures_util::poll!(write.as_mut()) {
                Poll::Ready(done) => failed |= done.is_err(),
                Poll::Pending => writes.push(write),
            }
        }
        self.writes.push(Box::pin(written(writes, failed, told)));
    }

    /// Waits until everything settled so far is written.
    pub(crate) async fn flush(&mut self) {
        while self.writes.next().await.is_some() {}
    }

    /// Ends all consumers, and takes what they had sent by then.
    pub(crate) async fn stop(
        &mut self,
        settle_to: &mpsc::UnboundedSender<Settle>,
    ) -> Result<Vec<Delivery>, Lost> {
        if let Some(change) = self.change.take() {
            self.changed(change.await.map_err(Lost)?);
        }
        let tags: Vec<ShortString> =
            self.streams.iter().map(|source| source.stream.tag()).collect();
        for tag in tags {
            let ended = self.channel.basic_cancel(tag, BasicCancelOptions::default()).await;
            ended.map_err(|e| Lost(self.link.error("cannot stop consuming", e)))?;
        }
        self.lanes.lanes.iter_mut().for_each(|lane| lane.consumers.clear());
        while !self.streams.is_empty() {
            let streams = &mut self.streams;
            let event = poll_fn(|context| poll_streams(streams, context)).await;
            self.note(event, settle_to)?;
        }
        Ok(self.lanes.take_waiting())
    }

    /// Closes the channel; what is unsettled comes again.
    pub(crate) async fn close(mut self) {
        self.flush().await;
        // Gone already is as good.
        let _ = self.channel.close(200, "closed by umbel".into()).await;
    }

    fn arrived(
        &mut self,
        owner: Owner,
        delivery: LibraryDelivery,
        settle_to: &mpsc::UnboundedSender<Settle>,
    ) {
        let tag = delivery.delivery_tag;
        let (properties, mut headers, deliveries) = table::read(&delivery.properties);
        deaths::forget_delays(&mut headers);
        self.ledger.arrived(tag, owner);
        let queue = &self.queues[owner.lane];
        let options = &self.link.options;
        let route =
            Route { exchange: delivery.exchange.into(), routing_key: delivery.routing_key.into() };
        let delivery = Delivery {
            message: RawMessage { properties, headers, body: delivery.data.into() },
            route: delays::route_before(options, &queue.name, route),
            redelivered: delivery.redelivered,
            // Quorum queues say nothing the first time, classic ones never.
            deliveries: deliveries.or(queue.counts.then_some(0)),
            queue: queue.name.clone(),
            receipt: Receipt::new(Tag::Number(tag), self.generation, settle_to.clone()),
        };
        self.lanes.arrived(owner, delivery);
    }

    fn ended(&mut self, ended: Ended) -> Result<(), Lost> {
        if let Some(error) = ended.error {
            return Err(Lost(self.link.error("the channel was closed", error)));
        }
        if !self.channel.status().connected() {
            return Err(Lost(BrokerError::Unreachable {
                address: self.link.address().clone(),
                source: "the channel was closed".into(),
            }));
        }
        self.streams.retain(|source| source.owner != ended.owner);
        let lane = &mut self.lanes.lanes[ended.owner.lane];
        let before = lane.consumers.len();
        lane.consumers.retain(|one| one.id != ended.owner.consumer);
        if lane.consumers.len() < before {
            tracing::warn!(queue = %lane.queue, "the server ended our consumer; consuming again");
        }
        Ok(())
    }

    fn changed(&mut self, changed: Changed) {
        let Changed { lane, added, ended } = changed;
        let consumers = &mut self.lanes.lanes[lane].consumers;
        consumers.retain(|one| !ended.contains(&one.id));
        if let Some((prefetch, stream)) = added {
            let owner = Owner { lane, consumer: prefetch.id };
            consumers.push(prefetch);
            self.streams.push(Source { owner, stream });
        }
    }

    fn carry_out(
        &mut self,
        step: Step,
        declare: bool,
    ) -> BoxFuture<'static, Result<Changed, BrokerError>> {
        self.ids += 1;
        let (lane, count) = match step {
            Step::Add { lane, count }
            | Step::Grow { lane, count }
            | Step::Replace { lane, count } => (lane, Some(count)),
            Step::End { lane } => (lane, None),
        };
        let consumers = &self.lanes.lanes[lane].consumers;
        let ending = match step {
            Step::Add { .. } | Step::Grow { .. } => Vec::new(),
            Step::Replace { .. } => consumers.clone(),
            Step::End { .. } => consumers.last().cloned().into_iter().collect(),
        };
        let change = Change {
            link: self.link.clone(),
            connection: self.connection.clone(),
            channel: self.channel.clone(),
            queue: self.queues[lane].clone(),
            lane,
            declare,
            add: count.map(|count| (self.ids, count)),
            ending,
        };
        Box::pin(change.run())
    }
}

/// Tells everybody that waits that there is nothing left to settle.
pub(crate) fn all_stale(batch: &mut Vec<Settle>) {
    batch.drain(..).for_each(|settle| tell(settle.done, Err(BrokerError::Stale)));
}

/// Whether the server would say the same again.
pub(crate) fn is_final(error: &BrokerError) -> bool {
    matches!(error, BrokerError::Conflict { .. } | BrokerError::Closed)
}

/// A short reason for the log.
pub(crate) fn reason(error: &BrokerError) -> String {
    let library = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<lapin::Error>())
        .and_then(reply_code);
    let text = super::connection::describe(error);
    library.map_or_else(|| text.clone(), |code| format!("{text} ({code})"))
}

fn tell(done: Told, result: Result<(), BrokerError>) {
    if let Some(done) = done {
        // Who stopped waiting does not mind.
        let _ = done.send(result);
    }
}

async fn send(channel: Arc<Channel>, frame: Frame) -> lapin::Result<()> {
    match frame {
        Frame::Ack { tag, multiple } => channel.basic_ack(tag, BasicAckOptions { multiple }).await,
        Frame::Requeue { tag } => {
            channel.basic_nack(tag, BasicNackOptions { multiple: false, requeue: true }).await
        }
        Frame::Discard { tag } => {
            channel.basic_reject(tag, BasicRejectOptions { requeue: false }).await
        }
    }
}

async fn written<F: Future<Output = lapin::Result<()>> + Unpin>(
    writes: Vec<F>,
    mut failed: bool,
    told: Vec<Told>,
) {
    for write in writes {
        failed |= write.await.is_err();
    }
    for done in told {
        tell(done, if failed { Err(BrokerError::Stale) } else { Ok(()) });
    }
}

fn poll_streams(streams: &mut [Source], context: &mut Context<'_>) -> Poll<Event> {
    let mut deliveries = Vec::new();
    for source in streams {
        while deliveries.len() < BATCH {
            let error = match Pin::new(&mut source.stream).poll_next(context) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(delivery))) => {
                    deliveries.push((source.owner, delivery));
                    continue;
                }
                Poll::Ready(Some(Err(error))) => Some(error),
                Poll::Ready(None) => None,
            };
            let ended = Some(Ended { owner: source.owner, error });
            return Poll::Ready(Event::Arrived { deliveries, ended });
        }
    }
    if deliveries.is_empty() {
        return Poll::Pending;
    }
    Poll::Ready(Event::Arrived { deliveries, ended: None })
}
