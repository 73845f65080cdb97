//! Whether more was admitted than a rule states, found from the admitted requests only.

use super::*;

/// Panics where more was admitted than `rule` states.
fn replay(admitted: impl Iterator<Item = (u64, Charge)>, rule: Rule, seed: u64) {
    let admitted: Vec<(u64, Charge)> = admitted.collect();
    match rule {
        Rule::Bucket(bucket) => {
            let (interval, window) = (bucket.refill().interval().nanos(), bucket.window().nanos());
            let (mut level, mut last) = (0u64, 0u64);
            for (now, _) in admitted {
                level = level.saturating_sub(now - last) + interval;
                assert!(
                    level <= window,
                    "seed {seed}: more admitted than {rule:?} states"
                );
                last = now;
            }
        }
        // The times at which the units were entered, which never go back: a worker that was
        // overtaken lets its request through after that of the other, not at the time by which it
        // asked.
        Rule::Rolling(rolling) => {
            let at = |charge: &Charge| {
                if let Charge::Rolling(charge) = charge {
                    charge.at()
                } else {
                    panic!()
                }
            };
            let mut times: Vec<Timestamp> = admitted.iter().map(|(_, charge)| at(charge)).collect();
            times.sort();
            for (index, first) in times.iter().enumerate() {
                let within = times[index..]
                    .iter()
                    .take_while(|at| **at < first.after(rolling.window()))
                    .count();
                assert!(
                    within as u64 <= rolling.quota(),
                    "seed {seed}: {within} in one window of {rule:?}"
                );
            }
        }
        Rule::Calendar(calendar) => {
            let mut windows = HashMap::new();
            for (_, charge) in admitted {
                let Charge::Calendar(charge) = charge else {
                    panic!()
                };
                let taken = windows.entry(charge.end().nanos()).or_insert(0);
                *taken += 1;
                assert!(
                    *taken <= calendar.quota(),
                    "seed {seed}: {taken} in one window of {rule:?}"
                );
            }
        }
        // Whenever a request is admitted: the holders admitted before whose seat is still kept.
        Rule::Seats(seats) => {
            let touch = |charge: &Charge| {
                if let Charge::Seats(charge) = charge {
                    charge.touch()
                } else {
                    panic!()
                }
            };
            let touches: Vec<(u64, Holder)> = admitted
                .iter()
                .map(|(at, charge)| (*at, touch(charge)))
                .collect();
            for (now, _) in &touches {
                let holds = |(at, touch): &&(u64, Holder)| at <= now && touch.until.nanos() > *now;
                let holders: HashSet<u64> = touches
                    .iter()
                    .filter(holds)
                    .map(|(_, touch)| touch.holder)
                    .collect();
                assert!(
                    holders.len() as u32 <= seats.seats(),
                    "seed {seed}: {holders:?} hold seats at once"
                );
            }
        }
    }
}

pub(super) fn never_over_admits(run: &Run, kind: Kind, seed: u64) {
    let [of_user, of_org] = kind.rules();
    for user in 0..USERS as u32 {
        let own = run.admitted.iter().filter(|one| one.user == user);
        replay(own.map(|one| (one.entered, one.charges[0])), of_user, seed);
    }
    replay(
        run.admitted.iter().map(|one| (one.entered, one.charges[1])),
        of_org,
        seed,
    );
}
