//! Announces the policy that a proxy enforces, once for all of its workers.

use std::str;

use super::usage::changes_key;
use crate::base::VERSION;
use crate::host::fault::Fault;
use crate::host::shared::SharedData;
use crate::host::shared::cell::{SharedCell, Update};
use crate::host::stream::{Clock, Meter, MetricId, MetricKind};
use crate::observe::metrics::revision;
use crate::policy::Policy;
use crate::policy::usage::Target;
use crate::usage::change::{self, Change, Limits};

/// The policy that the proxy enforces under one name.
struct Announced<'a> {
    revision: &'a str,
    version: &'a str,
    /// The second since when.
    since: u64,
    limits: Limits<'a>,
}

/// No policy name contains a point.
const KEY: &str = "sluicegate.rev1.";

/// Shows the policy in the metrics. The first worker that starts a revision notes the time; all
/// others, and those that start again, show the same.
///
/// # Errors
/// [`Fault`] if the host's shared data fails.
pub fn announce<H: SharedData + Clock + Meter>(
    policy: &Policy,
    host: &H,
    define: impl FnMut(MetricKind, &str) -> MetricId,
) -> Result<(), Fault> {
    let key = format!("{KEY}{}", policy.name);
    let now = host.now().unix_seconds();
    let current = (&*policy.revision, VERSION);
    let updated = SharedCell::new(host, key.as_bytes()).update(|bytes| {
        let known = parse(&bytes);
        Ok(match known {
            Some(known) if (known.revision, known.version) == current => {
                Update::Keep((None, known.since))
            }
            Some(_) | None => {
                let mut text = format!("{}\n{VERSION}\n{now}", policy.revision);
                for (name, digest) in &policy.digests {
                    for part in ["\n", name, " ", digest] {
                        text.push_str(part);
                    }
                }
                Update::Store(text.into_bytes(), (Some(bytes), now))
            }
        })
    });
    let (previous, since) = updated?.result;
    let previous = previous.as_deref().and_then(parse);
    if let Some(previous) = &previous {
        note_change(policy, previous, host)?;
    }
    let previous = previous.map(|known| (known.revision, known.version));
    revision::show(policy, (previous, since), host, define);
    Ok(())
}

/// Lets the change of the policy wait for its way to a collector, if there is one.
fn note_change<H: SharedData + Clock>(
    policy: &Policy,
    previous: &Announced<'_>,
    host: &H,
) -> Result<(), Fault> {
    let is_sent = match policy.usage.as_ref().map(|usage| &usage.to) {
        Some(Target::Otlp { .. } | Target::CloudEvents { .. }) => true,
        Some(Target::Stats) | None => false,
    };
    if !is_sent || *previous.revision == *policy.revision {
        return Ok(());
    }
    let digests = policy.digests.iter();
    let limits: Limits<'_> = digests.map(|(name, digest)| (&**name, &**digest)).collect();
    let old = (previous.revision, &previous.limits);
    let change = Change::between(host.now().nanos(), old, (&policy.revision, &limits));
    SharedCell::new(host, &changes_key(&policy.name)).update(|bytes| {
        let mut waiting = change::read(&bytes);
        waiting.push(change.clone());
        Ok(Update::Store(change::write(&waiting), ()))
    })?;
    Ok(())
}

/// `None` if nothing was announced.
fn parse(bytes: &[u8]) -> Option<Announced<'_>> {
    let mut lines = str::from_utf8(bytes).ok()?.split('\n');
    Some(Announced {
        revision: lines.next()?,
        version: lines.next()?,
        since: lines.next()?.parse().ok()?,
        limits: lines.filter_map(|line| line.split_once(' ')).collect(),
    })
}
