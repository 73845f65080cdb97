//! Shared queues: messages from worker to worker, each of which wakes the one that listens.

use super::fault::Fault;

/// A queue's number at the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueToken(pub u32);

/// Queues by name, shared by all workers.
///
/// The host keeps a queue and what lies in it for as long as the proxy runs, and tells nobody that
/// a listener is gone: names are a fixed set, and a message is a hint that may be lost.
pub trait SharedQueue {
    /// Makes the root context of this callback the one that is woken for the queue called `name`,
    /// in place of any other. The same name has the same token for ever.
    ///
    /// # Errors
    /// [`Fault`] if the host fails.
    fn register(&self, name: &[u8]) -> Result<QueueToken, Fault>;

    /// Appends a message, and wakes who listens.
    ///
    /// # Errors
    /// [`Fault`] if the host fails, as where there is no such queue.
    fn enqueue(&self, queue: QueueToken, message: &[u8]) -> Result<(), Fault>;

    /// Takes the oldest message; `None` where there is none.
    ///
    /// # Errors
    /// [`Fault`] if the host fails.
    fn dequeue(&self, queue: QueueToken) -> Result<Option<Vec<u8>>, Fault>;
}
