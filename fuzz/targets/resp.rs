//! Any bytes as the answer of Redis: no panic, and every answer fits its take.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluicegate::base::time::Span;
use sluicegate::fleet::redis::resp::{Login, decode};
use sluicegate::fleet::take::{CounterName, Numbers, ProxyId, Rest, Take};

fuzz_target!(|data: &[u8]| {
    // The first byte states the form of the call: a login, and the number of takes.
    let Some((shape, bytes)) = data.split_first() else {
        return;
    };
    let take = Take {
        counter: CounterName([0; 16]),
        numbers: Numbers::Rolling {
            quota: 10,
            window: Span::from_seconds(60),
        },
        proxy: ProxyId(0),
        seq: 1,
        spent: 0,
        extra: 0,
        refund: 0,
        since: 0,
        rest: Rest::Keep,
        need: 1,
        want: 9,
        lock: Span::ZERO,
    };
    let login = Login {
        user: None,
        password: (shape & 1 != 0).then_some("secret"),
        database: u32::from(shape >> 1 & 1),
    };
    let takes = vec![take; usize::from(shape >> 2)];
    if let Ok(answers) = decode(login, &takes, bytes) {
        assert_eq!(answers.len(), takes.len());
        for answer in answers.into_iter().flatten() {
            assert!(answer.granted <= take.want);
        }
    }
});
