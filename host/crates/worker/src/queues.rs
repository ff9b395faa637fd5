//! Which queues are taken from: remote control may add some and cancel others.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tracing::info;
use umbel_protocol::control::Binding;
use umbel_transport::broker::{BrokerError, Consumer};

use crate::worker::Worker;

/// The queues of a worker.
#[derive(Debug)]
pub(crate) struct Queues {
    now: Mutex<Vec<Queue>>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    orders: mpsc::Sender<Order>,
    inbox: Mutex<Option<mpsc::Receiver<Order>>>,
}

/// One that is taken from.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) name: String,
    /// Where remote control said that it is bound; `None` is where it usually is.
    pub(crate) binding: Option<Binding>,
}

/// A wish of remote control, for whoever takes messages.
#[derive(Debug)]
pub(crate) struct Order {
    /// All that are to be taken from.
    queues: Vec<String>,
    done: oneshot::Sender<Result<(), BrokerError>>,
}

impl Queues {
    pub(crate) fn new(names: &[String]) -> Self {
        // Who orders waits for the answer.
        let (orders, inbox) = mpsc::channel(1);
        let queue = |name: &String| Queue { name: name.clone(), binding: None };
        Self {
            now: Mutex::new(names.iter().map(queue).collect()),
            changing: tokio::sync::Mutex::default(),
            orders,
            inbox: Mutex::new(Some(inbox)),
        }
    }

    pub(crate) fn all(&self) -> Vec<Queue> {
        self.now().clone()
    }

    /// What is to be changed; for one who takes messages.
    pub(crate) fn inbox(&self) -> Option<mpsc::Receiver<Order>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes from one more from now on.
    pub(crate) async fn add(
        &self,
        worker: &Worker,
        name: &str,
        binding: Option<Binding>,
    ) -> Result<(), BrokerError> {
        let _one_at_a_time = self.changing.lock().await;
        let mut queues = self.all();
        if !queues.iter().any(|queue| queue.name == name) {
            queues.push(Queue { name: name.to_owned(), binding: None });
            self.order(&queues).await?;
            self.now().clone_from(&queues);
        }
        let Some(binding) = binding else { return Ok(()) };
        worker.broker.bind(name, &binding).await?;
        for queue in self.now().iter_mut().filter(|queue| queue.name == name) {
            queue.binding = Some(binding.clone());
        }
        Ok(())
    }

    /// Takes from it no more.
    pub(crate) async fn cancel(&self, name: &str) -> Result<(), BrokerError> {
        let _one_at_a_time = self.changing.lock().await;
        let mut queues = self.all();
        let before = queues.len();
        queues.retain(|queue| queue.name != name);
        if queues.len() < before {
            self.order(&queues).await?;
            *self.now() = queues;
        }
        Ok(())
    }

    async fn order(&self, queues: &[Queue]) -> Result<(), BrokerError> {
        let (done, told) = oneshot::channel();
        let queues = queues.iter().map(|queue| queue.name.clone()).collect();
        let sent = self.orders.send(Order { queues, done }).await;
        sent.map_err(|_| BrokerError::Closed)?;
        told.await.unwrap_or(Err(BrokerError::Closed))
    }

    fn now(&self) -> MutexGuard<'_, Vec<Queue>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Order {
    /// Subscribes anew; the subscription of before ends once the new one stands. What was taken by
    /// then stays ours.
    pub(crate) async fn carry_out(self, worker: &Worker, consumer: &mut Option<Box<dyn Consumer>>) {
        let changed = self.change(worker, consumer).await;
        if changed.is_ok() {
            info!("taking from {}", self.shown());
        }
        // Who asked may be gone.
        let _ = self.done.send(changed);
    }

    async fn change(
        &self,
        worker: &Worker,
        consumer: &mut Option<Box<dyn Consumer>>,
    ) -> Result<(), BrokerError> {
        let next = match &*self.queues {
            [] => None,
            queues => Some(worker.broker.consume(queues, worker.window()).await?),
        };
        if let Some(mut before) = std::mem::replace(consumer, next)
            && let Err(error) = before.stop().await
        {
            info!("the broker did not hear that we take no more: {error}");
        }
        Ok(())
    }

    fn shown(&self) -> String {
        if self.queues.is_empty() { "no queue".to_owned() } else { self.queues.join(", ") }
    }
}
