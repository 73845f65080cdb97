//! The time that the filter adds to Envoy's start.

use std::path::Path;
use std::time::Instant;

use crate::envoy::{Envoy, Paths, free_port};
use crate::listener::{Answer, Filter, listener};
use crate::report::{Figure, Report, Table};
use crate::statistics::over;

const ROUNDS: usize = 7;

/// Measures from Envoy's start to its first response, with the filter and without.
pub(crate) fn time(paths: &Paths, report: &mut Report) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (filter, times) in [Filter::Missing, Filter::Sluicegate]
            .into_iter()
            .zip(&mut times)
        {
            let policy = Path::new("envoy/presets/enterprise-v2.yaml");
            let listener = listener(paths, policy, free_port(), filter, Answer::Direct);
            let begun = Instant::now();
            drop(Envoy::start(paths, vec![listener], None));
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    let [without, with] = times;
    let mut table = Table::new(
        "start",
        "Envoy's start until it listens",
        &[("whole", "ms", 0), ("added", "ms", 0)],
    );
    table.row("no filter", [Figure::of(&without)]);
    table.row(
        "preset enterprise-v2",
        [Figure::of(&with), Figure::of(&over(&with, &without))],
    );
    table.note(format!(
        "Medians of {ROUNDS} starts each. V8 compiles the module once and all \
                        workers share the code."
    ));
    report.add(&table);
}
