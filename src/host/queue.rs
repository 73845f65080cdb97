//! Shared queues: messages between workers. Each message wakes the worker that listens.

use super::fault::Fault;

/// A queue's number at the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueToken(pub u32);

/// Queues by name, shared by all workers.
///
/// The host keeps a queue and its messages for as long as the proxy runs, and does not report that
/// a listener is gone. So names are a fixed set, and a message is a hint that may be lost.
pub trait SharedQueue {
    /// Makes the root context of this callback the one that is woken for the queue called `name`,
    /// in place of any other. The same name has the same token for ever.
    ///
    /// # Errors
    /// [`Fault`] if the host fails.
    fn register(&self, name: &[u8]) -> Result<QueueToken, Fault>;

    /// Appends a message, and wakes the listener.
    ///
    /// # Errors
    /// [`Fault`] if the host fails, or if there is no such queue.
    fn enqueue(&self, queue: QueueToken, message: &[u8]) -> Result<(), Fault>;

    /// Takes the oldest message; `None` if there is none.
    ///
    /// # Errors
    /// [`Fault`] if the host fails.
    fn dequeue(&self, queue: QueueToken) -> Result<Option<Vec<u8>>, Fault>;
}
