//! The cost of a request: with each preset, when refused, and with other filters.

use std::fs;
use std::path::PathBuf;

use crate::client::{Client, admitted};
use crate::envoy::{Envoy, Paths, free_port};
use crate::listener::{Answer, Filter, LOCAL_BURST, listener};
use crate::report::{Figure, Report, Table};
use crate::statistics::{Rounds, median, over};
use crate::traffic::{CALLERS, TRAFFIC, Traffic};

const ROUNDS: usize = 200;
const SECONDS_MAX: u64 = 75;
const REQUESTS_PER_ROUND: usize = 480;

/// The bucket that `local_ratelimit` gets, too.
const BUCKET_PER_KEY: &str = "version: 1
name: bucket-per-key
callers:
  credentials: [{ name: api_key, header: authorization, scheme: Bearer }]
  unknown: anonymous
limits: [{ name: one, per: [api_key], bucket: { burst: 1000, refill: 1000/h } }]
";

/// The same with six fields in the words of a policy.
const WRITTEN: &str = "replies:
  fields:
    family: none
    write:
      - { name: x-limit, value: \"{limit}\" }
      - { name: x-quota, value: \"{quota}\" }
      - { name: x-left, value: \"{remaining}\" }
      - { name: x-used, value: \"{used}\" }
      - { name: x-reset, value: \"{reset:http-date}\" }
      - { name: x-all, value: \"{remaining}/{quota};w={window}\" }
";

/// Usage by limit: the cost within a request. It waits for a collector.
const USAGE_BY_LIMIT: &str = "usage: { to: { otlp: nowhere } }\n";

/// Usage of each caller: the table of the proxy has as many series, into which a worker merges what
/// it counted each second.
const USAGE: &str = "usage: { to: { otlp: nowhere }, tags: { org: org } }\n";

/// One listener and its requests.
struct Kind {
    name: String,
    filter: Filter,
    traffic: &'static Traffic,
    policy: PathBuf,
    answer: u16,
}

/// The rows to compare with.
const NOOP: usize = 1;
const FLOOR: usize = 2;

fn kinds(paths: &Paths) -> Vec<Kind> {
    let first = &TRAFFIC[0];
    let policy = first.policy(paths);
    let other = |name: &str, filter| Kind {
        name: name.to_owned(),
        filter,
        traffic: first,
        policy: policy.clone(),
        answer: 200,
    };
    let bucket = paths.scratch.path().join("bucket-per-key.yaml");
    fs::write(&bucket, BUCKET_PER_KEY).unwrap();
    let empty = first.policy_with(paths, "exhausted", "bucket: { burst: 1, refill: 1/d }");
    let mut kinds = vec![
        other("no filter", Filter::Missing),
        other("no-op filter", Filter::Noop),
        other("host call floor", Filter::Floor),
        other("Envoy's local_ratelimit, a bucket per key", Filter::Local),
        other("Envoy's Lua, reads a header", Filter::Lua),
        Kind {
            policy: bucket,
            ..other("sluicegate, a bucket per key", Filter::Sluicegate)
        },
    ];
    let written = paths.scratch.path().join("written.yaml");
    let text = format!("{BUCKET_PER_KEY}{WRITTEN}").replace("bucket-per-key", "written");
    fs::write(&written, text).unwrap();
    kinds.push(Kind {
        policy: written,
        ..other(
            "sluicegate, the same with six fields of `write`",
            Filter::Sluicegate,
        )
    });
    kinds.extend(TRAFFIC.iter().map(|traffic| Kind {
        name: format!("preset {}", traffic.preset),
        filter: Filter::Sluicegate,
        traffic,
        policy: traffic.policy(paths),
        answer: 200,
    }));
    for (name, usage) in [("by limit", USAGE_BY_LIMIT), ("by caller", USAGE)] {
        let file = format!("with-usage-{}", name.replace(' ', "-"));
        let name = format!("preset enterprise-v2 with usage {name}");
        kinds.push(Kind {
            policy: first.policy_and(paths, &file, usage),
            ..other(&name, Filter::Sluicegate)
        });
    }
    kinds.push(Kind {
        policy: empty,
        answer: 429,
        ..other("preset enterprise-v2, refused", Filter::Sluicegate)
    });
    kinds
}

/// Measures processor time per request, added over no filter.
pub(crate) fn processor_time(paths: &Paths, report: &mut Report) {
    let kinds = kinds(paths);
    let ports: Vec<u16> = kinds.iter().map(|_| free_port()).collect();
    let listeners = kinds
        .iter()
        .zip(&ports)
        .map(|(kind, port)| listener(paths, &kind.policy, *port, kind.filter, Answer::Direct));
    let envoy = Envoy::start(paths, listeners.collect(), None);
    let mut clients: Vec<Client> = ports.into_iter().map(Client::connect).collect();
    for (kind, client) in kinds.iter().zip(&mut clients) {
        match (kind.filter, kind.answer) {
            (Filter::Local, _) => limits_each_key(client),
            // Each caller has used up its bucket.
            (_, 429) => client.send(2 * CALLERS, |number| kind.traffic.request(number), |_| ()),
            _ => {}
        }
    }
    let costs = Rounds::new(ROUNDS, SECONDS_MAX).costs(&mut clients, |round, place, client| {
        let kind = &kinds[place];
        let request = |number| kind.traffic.request(round * REQUESTS_PER_ROUND + number);
        let answered = |status| assert_eq!(status, kind.answer, "{}", kind.name);
        envoy.micros(|| client.send(REQUESTS_PER_ROUND, request, answered))
            / REQUESTS_PER_ROUND as f64
    });
    let mut table = Table::new(
        "requests",
        "Processor time of Envoy per request",
        &[
            ("whole", "µs", 2),
            ("added over no filter", "µs", 2),
            ("ratio to no-op", "", 2),
            ("ratio to the floor", "", 2),
        ],
    );
    let added: Vec<Vec<f64>> = costs.iter().map(|kind| over(kind, &costs[0])).collect();
    for (index, kind) in kinds.iter().enumerate() {
        let mut figures = vec![Figure::of(&costs[index])];
        if index > 0 {
            figures.push(Figure::of(&added[index]));
            figures.extend(
                [NOOP, FLOOR].map(|base| Figure::one(median(&added[index]) / median(&added[base]))),
            );
        }
        table.row(&kind.name, figures);
    }
    table.note(format!(
        "Medians of {} rounds of {REQUESTS_PER_ROUND} requests each, interleaved, of {CALLERS} \
         callers in turn. Half of the \
         rounds are between the numbers in parentheses. One worker answers without an upstream and \
         writes no access log. \
         The ratios compare the additional time of each variant over no filter.",
        costs[0].len()
    ));
    report.add(&table);
}

/// Checks that Envoy's own filter counts each key separately, as its row claims.
fn limits_each_key(client: &mut Client) {
    let of = |key: &'static str| {
        move |_| {
            (
                "/v2/things".to_owned(),
                format!("authorization: Bearer {key}"),
            )
        }
    };
    let mut refused = 0;
    client.send(LOCAL_BURST + 8, of("first"), |status| {
        refused += usize::from(status == 429)
    });
    assert_eq!(refused, 8, "local_ratelimit does not limit a key");
    client.send(16, of("second"), admitted);
}
