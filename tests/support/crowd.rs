//! Many clients at once, each with its own connection, over both protocols and all workers.

use crate::harness::{Answer, Call, Client, Gateway};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

pub(crate) struct Crowd(Vec<Client>);

impl Crowd {
    /// This many clients of one gateway; every fourth uses HTTP/2.
    pub(crate) fn of(count: usize, gateway: &Gateway) -> Self {
        Self(
            (0..count)
                .map(|index| match index % 4 {
                    0 => Client::http2(gateway.address),
                    _ => gateway.client(),
                })
                .collect(),
        )
    }

    /// Each client sends `each` calls, one after another; returns all responses. `call` takes the
    /// number of a client.
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

    /// Each client sends calls for this time, with short pauses; returns all responses.
    pub(crate) async fn send_for(
        &self,
        time: Duration,
        call: impl Fn(usize) -> Call,
    ) -> Vec<Answer> {
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

    async fn all<F>(
        &self,
        call: impl Fn(usize) -> Call,
        task: impl Fn(Client, Call) -> F,
    ) -> Vec<Answer>
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

/// Clients that run until they are stopped. In every round, each makes its calls over a new
/// connection, so that the current policy applies.
pub(crate) struct Load {
    stopped: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    /// Starts this many clients; `calls` takes the number of a client. Every fourth uses HTTP/2.
    pub(crate) fn start(
        count: usize,
        gateway: &Gateway,
        calls: impl Fn(usize) -> Vec<Call>,
    ) -> Self {
        let (stopped, mut clients) = (Arc::<AtomicBool>::default(), JoinSet::new());
        let address = gateway.address;
        for index in 0..count {
            let (calls, stopped) = (calls(index), Arc::clone(&stopped));
            clients.spawn(async move {
                while !stopped.load(Ordering::Relaxed) {
                    let client = if index % 4 == 0 {
                        Client::http2(address)
                    } else {
                        Client::http1(address)
                    };
                    for call in &calls {
                        // A listener that is being removed may close the connection without a
                        // response.
                        if let Ok(answer) = client.try_send(call.clone()).await {
                            assert!(
                                [200, 429].contains(&answer.status),
                                "status {}",
                                answer.status
                            );
                        }
                    }
                }
            });
        }
        Self { stopped, clients }
    }

    /// Waits for the last responses.
    pub(crate) async fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
    }
}
