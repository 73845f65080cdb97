//! Envoy's admin endpoint, as far as the scenarios need it.

use crate::harness::{Call, Client, eventually};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// Label names and values that a metric must carry; it may carry others.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

/// One proxy's admin endpoint.
#[derive(Clone)]
pub(crate) struct Admin {
    client: Client,
}

impl Admin {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            client: Client::http1(address),
        }
    }

    /// The body of `path`, or nothing if the endpoint does not answer 200. Does not wait for a
    /// connection that leads nowhere, such as one to a container that is about to start.
    pub(crate) async fn text(&self, path: &str) -> Option<String> {
        let answer = timeout(
            Duration::from_secs(10),
            self.client.try_send(Call::get(path)),
        )
        .await
        .ok()?
        .ok()?;
        (answer.status == 200).then(|| String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// The body of `path`, once the endpoint answers: an Envoy that compiles a filter does nothing
    /// else.
    async fn answer(&self, path: &str) -> String {
        eventually("the admin endpoint answers", async || self.text(path).await).await
    }

    pub(crate) async fn ready(&self) -> bool {
        self.text("/ready")
            .await
            .is_some_and(|body| body.contains("LIVE"))
    }

    /// All counters and gauges whose name contains `part`, with their values.
    pub(crate) async fn stats(&self, part: &str) -> Vec<(String, u64)> {
        let body = self.answer("/stats").await;
        body.lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| name.contains(part))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect()
    }

    /// The sum of all counters and gauges whose name contains `part`.
    pub(crate) async fn stat(&self, part: &str) -> u64 {
        self.stats(part)
            .await
            .into_iter()
            .map(|(_, value)| value)
            .sum()
    }

    /// The sum of a Prometheus metric's series that carry all `labels`; 0 if there is none.
    pub(crate) async fn metric(&self, name: &str, labels: Labels<'_>) -> u64 {
        let body = self.answer("/stats/prometheus").await;
        body.lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(series, _)| {
                let (family, rest) = series.split_once('{').unwrap_or((series, ""));
                family == name
                    && labels.iter().all(|(key, value)| {
                        rest.trim_end_matches('}')
                            .split(',')
                            .any(|l| l == format!("{key}=\"{value}\""))
                    })
            })
            .map(|(_, value)| value.parse::<u64>().expect("a counter"))
            .sum()
    }
}
