//! Many clients at once, each with a connection of its own, over both protocols and all workers.

use crate::harness::{Answer, Call, Client, Gateway};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// So many clients.
pub(crate) struct Crowd(Vec<Client>);

impl Crowd {
    /// Clients of one gateway; every fourth speaks HTTP/2.
    pub(crate) fn of(count: usize, gateway: &Gateway) -> Self {
        let client = |index: usize| match index % 4 {
            0 => Client::http2(gateway.address),
            _ => gateway.client(),
        };
        Self((0..count).map(client).collect())
    }

    /// Each client sends `each` calls, one after the other; all answers. `call` is told a client's number.
    pub(crate) async fn send(&self, each: usize, call: impl Fn(usize) -> Call) -> Vec<Answer> {
        self.all(call, move |client, call| async move {
            let mut answers = Vec::with_capacity(each);
            for _ in 0..each {
                answers.push(client.send(call.clone()).await);
            }
            answers
        })
        .await
    }

    /// Each client sends calls for so long, with a moment between them; all answers.
    pub(crate) async fn send_for(&self, time: Duration, call: impl Fn(usize) -> Call) -> Vec<Answer> {
        let begun = Instant::now();
        self.all(call, move |client, call| async move {
            let mut answers = Vec::new();
            while begun.elapsed() < time {
                answers.push(client.send(call.clone()).await);
                sleep(Duration::from_millis(4)).await;
            }
            answers
        })
        .await
    }

    async fn all<F>(&self, call: impl Fn(usize) -> Call, task: impl Fn(Client, Call) -> F) -> Vec<Answer>
    where
        F: Future<Output = Vec<Answer>> + Send + 'static,
    {
        let mut clients = JoinSet::new();
        for (index, client) in self.0.iter().enumerate() {
            clients.spawn(task(client.clone(), call(index)));
        }
        clients.join_all().await.into_iter().flatten().collect()
    }
}

/// Clients that go on until they are stopped. Each makes its calls over a new connection in every round, so
/// that the policy which is there by then is asked.
pub(crate) struct Load {
    stopped: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    /// So many clients begin; `calls` is told a client's number. Every fourth speaks HTTP/2.
    pub(crate) fn start(count: usize, gateway: &Gateway, calls: impl Fn(usize) -> Vec<Call>) -> Self {
        let (stopped, mut clients) = (Arc::<AtomicBool>::default(), JoinSet::new());
        let address = gateway.address;
        for index in 0..count {
            let (calls, stopped) = (calls(index), Arc::clone(&stopped));
            clients.spawn(async move {
                while !stopped.load(Ordering::Relaxed) {
                    let client = if index % 4 == 0 { Client::http2(address) } else { Client::http1(address) };
                    for call in &calls {
                        // A listener that goes may close the connection without an answer.
                        if let Ok(answer) = client.try_send(call.clone()).await {
                            assert!([200, 429].contains(&answer.status), "status {}", answer.status);
                        }
                    }
                }
            });
        }
        Self { stopped, clients }
    }

    /// Waits for the last answers.
    pub(crate) async fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
    }
}
