//! Requests of scenarios, and the promises that they compare the responses with.

use crate::harness::{Answer, Call, Client, Gateway, now};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// The demo keys of the preset.
pub(crate) const ACME: [&str; 2] = ["demo-acme-1", "demo-acme-2"];

pub(crate) const GLOBEX: &str = "demo-globex-1";

/// The keys of the tests' own policies.
pub(crate) const ALPHA: [&str; 2] = ["e2e-alpha-1", "e2e-alpha-2"];

pub(crate) const BETA: &str = "e2e-beta-1";

/// The page's promise for the Standard tier: 60 a minute, bursts of 100.
pub(crate) const STANDARD: Bucket = Bucket {
    burst: 100,
    refill_per_min: 60,
};

/// The page's promise for the Data read tier: 600 a minute, bursts of 1,000.
pub(crate) const DATA_READ: Bucket = Bucket {
    burst: 1_000,
    refill_per_min: 600,
};

/// A bucket's promise, to compare with a measured run.
#[derive(Clone, Copy)]
pub(crate) struct Bucket {
    pub(crate) burst: u64,
    pub(crate) refill_per_min: u64,
}

impl Bucket {
    /// The most requests that may be admitted within `elapsed`.
    pub(crate) fn most(self, elapsed: Duration) -> u64 {
        self.burst + (u128::from(self.refill_per_min) * elapsed.as_millis()).div_ceil(60_000) as u64
    }

    /// Fails unless a caller that was refused at the end got the whole burst, and no more than the
    /// refill in addition.
    pub(crate) fn assert_spent(self, admitted: u64, elapsed: Duration) {
        let (burst, most) = (self.burst, self.most(elapsed));
        assert!(
            (burst..=most).contains(&admitted),
            "admitted {admitted} in {elapsed:?}: not in {burst}..={most}"
        );
    }
}

/// Sends `call` this many times; fails unless each is answered with 200.
pub(crate) async fn exactly(client: &Client, call: &Call, count: usize) {
    let statuses = client.statuses(call, count).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

/// Sends `call` until its status is not 200; returns the responses before that, and that one.
pub(crate) async fn until_other(client: &Client, call: &Call) -> (Vec<Answer>, Answer) {
    let mut admitted = Vec::new();
    for _ in 0..5_000 {
        let answer = client.send(call.clone()).await;
        if answer.status != 200 {
            return (admitted, answer);
        }
        admitted.push(answer);
    }
    panic!("never refused")
}

/// The same for a refusal with 429.
pub(crate) async fn until_refused(client: &Client, call: &Call) -> (Vec<Answer>, Answer) {
    let (admitted, other) = until_other(client, call).await;
    assert_eq!(
        other.status,
        429,
        "after {} requests with status 200",
        admitted.len()
    );
    (admitted, other)
}

/// Sends this many equal calls at once, each over its own connection; returns the responses in
/// order of arrival.
pub(crate) async fn at_once(gateway: &Gateway, call: &Call, count: usize) -> Vec<Answer> {
    let mut all = JoinSet::new();
    for _ in 0..count {
        let (client, call) = (gateway.client(), call.clone());
        all.spawn(async move { client.send(call).await });
    }
    all.join_all().await
}

/// The limit and its remaining units, according to the fields.
pub(crate) fn limit_and_left(answer: &Answer) -> (u64, u64) {
    let number = |name: &str| {
        answer
            .number(name)
            .unwrap_or_else(|| panic!("no {name}: {:?}", answer.headers))
    };
    (number("x-ratelimit-limit"), number("x-ratelimit-remaining"))
}

/// `X-RateLimit-Reset` as a Unix time; fails unless it is after the response's request, and within
/// `window` of it.
pub(crate) fn unix_reset(answer: &Answer, window: Duration) -> Duration {
    let reset = Duration::from_secs(answer.number("x-ratelimit-reset").expect("a reset"));
    assert!(
        reset > answer.sent,
        "{reset:?} was over at {:?}",
        answer.sent
    );
    assert!(
        reset < answer.received + window + SECOND,
        "{reset:?} is late at {:?}",
        answer.received
    );
    reset
}

/// Waits until this time since the epoch.
pub(crate) async fn until(time: Duration) {
    while let Some(left) = time
        .checked_sub(now())
        .filter(|left| *left > Duration::ZERO)
    {
        sleep(left).await;
    }
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Sends `call` until it is refused; returns the number of responses with 200, and the time taken.
pub(crate) async fn spend(client: &Client, call: &Call) -> (u64, Duration) {
    let begun = Instant::now();
    for admitted in 0..5_000 {
        match client.send(call.clone()).await.status {
            200 => {}
            429 => return (admitted, begun.elapsed()),
            other => panic!("status {other} after {admitted} requests with status 200"),
        }
    }
    panic!("never refused")
}
