//! Announces the policy that a proxy enforces, once for all of its workers.

use std::str;

use crate::base::VERSION;
use crate::host::fault::Fault;
use crate::host::shared::SharedData;
use crate::host::shared::cell::{SharedCell, Update};
use crate::host::stream::{Clock, Meter, MetricId, MetricKind};
use crate::observe::metrics::revision;
use crate::policy::Policy;

/// The policy that the proxy enforces under one name: revision, version, and the second since when.
type Announced<'a> = (&'a str, &'a str, u64);

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
            Some((revision, version, since)) if (revision, version) == current => {
                Update::Keep((None, since))
            }
            Some(_) | None => {
                let text = format!("{}\n{VERSION}\n{now}", policy.revision);
                Update::Store(text.into_bytes(), (Some(bytes), now))
            }
        })
    });
    let (previous, since) = updated?.result;
    let previous = previous.as_deref().and_then(parse);
    let previous = previous.map(|(revision, version, _)| (revision, version));
    revision::show(policy, (previous, since), host, define);
    Ok(())
}

/// `None` if nothing was announced.
fn parse(bytes: &[u8]) -> Option<Announced<'_>> {
    let mut lines = str::from_utf8(bytes).ok()?.split('\n');
    Some((lines.next()?, lines.next()?, lines.next()?.parse().ok()?))
}
