//! Whether more was admitted than a rule states, found from the admitted requests only.

use super::*;

/// Panics if more was admitted than `rule` states.
fn replay(admitted: impl Iterator<Item = (u64, Charge)>, rule: Rule, seed: u64) {
    let admitted: Vec<(u64, Charge)> = admitted.collect();
    match rule {
        Rule::Bucket(bucket) => replay_bucket(&admitted, &bucket, seed),
        Rule::Rolling(rolling) => replay_rolling(&admitted, &rolling, seed),
        Rule::Calendar(calendar) => replay_calendar(&admitted, &calendar, seed),
        Rule::Seats(seats) => replay_seats(&admitted, &seats, seed),
        Rule::Lock(_) => panic!("seed {seed}: a lock admits nothing"),
        Rule::Lease(_) => panic!("seed {seed}: a lease has a simulation of its own"),
    }
}

fn replay_bucket(admitted: &[(u64, Charge)], bucket: &Bucket, seed: u64) {
    let (interval, window) = (bucket.refill().interval().nanos(), bucket.window().nanos());
    let (mut level, mut last) = (0u64, 0u64);
    for (now, _) in admitted {
        level = level.saturating_sub(now - last) + interval;
        assert!(
            level <= window,
            "seed {seed}: more admitted than {bucket:?} states"
        );
        last = *now;
    }
}

/// By the times at which the units were entered, which never go back: a worker that was overtaken
/// lets its request through after that of the other, not at the time by which it asked.
fn replay_rolling(admitted: &[(u64, Charge)], rolling: &Rolling, seed: u64) {
    let mut times = Vec::new();
    for (_, charge) in admitted {
        let Charge::Rolling(charge) = charge else {
            panic!("seed {seed}: {charge:?}")
        };
        times.push(charge.at());
    }
    times.sort();
    for (index, first) in times.iter().enumerate() {
        let within = times[index..]
            .iter()
            .take_while(|at| **at < first.after(rolling.window()))
            .count();
        assert!(
            within as u64 <= rolling.quota(),
            "seed {seed}: {within} in one window of {rolling:?}"
        );
    }
}

fn replay_calendar(admitted: &[(u64, Charge)], calendar: &Calendar, seed: u64) {
    let mut windows = HashMap::new();
    for (_, charge) in admitted {
        let Charge::Calendar(charge) = charge else {
            panic!("seed {seed}: {charge:?}")
        };
        let taken = windows.entry(charge.end().nanos()).or_insert(0);
        *taken += 1;
        assert!(
            *taken <= calendar.quota(),
            "seed {seed}: {taken} in one window of {calendar:?}"
        );
    }
}

/// Counts, whenever a request is admitted, the holders admitted before whose seat is still kept.
fn replay_seats(admitted: &[(u64, Charge)], seats: &Seats, seed: u64) {
    let mut touches: Vec<(u64, Holder)> = Vec::new();
    for (at, charge) in admitted {
        let Charge::Seats(charge) = charge else {
            panic!("seed {seed}: {charge:?}")
        };
        touches.extend(charge.touched().map(|touch| (*at, touch)));
    }
    for (now, _) in &touches {
        let holders: HashSet<u64> = touches
            .iter()
            .filter(|(at, touch)| at <= now && touch.until.nanos() > *now)
            .map(|(_, touch)| touch.holder)
            .collect();
        assert!(
            holders.len() as u32 <= seats.seats(),
            "seed {seed}: {holders:?} hold seats at once"
        );
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
