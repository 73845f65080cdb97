//! Locks after a refusal.

use super::limits::{ALICE, header, policy};
use super::proxy::Proxy;
use crate::filter::stream::Flow;

const LOCKS: &str = "policy=.=demo;.;limit=.=logins;.;sluicegate_locks_total";

const RULES: [&str; 3] = [
    "bucket: { burst: 2, refill: 60/min }",
    "rolling: { quota: 2, window: 1s }",
    "calendar: { quota: 2, window: 1s }",
];

#[test]
fn a_refusal_locks_the_key_for_its_time() {
    for rule in RULES {
        let proxy = Proxy::new();
        let runtime = proxy.runtime(&policy(&format!(
            "limits: [{{ name: logins, per: [org], {rule}, over: {{ lock: 5m }} }}]"
        )));
        let send = || proxy.get(&runtime, "/a", ALICE);
        for _ in 0..2 {
            assert_eq!(send().1, Flow::Continue, "{rule}");
        }
        for (passed, left) in [(0, "300"), (100, "200"), (199, "1")] {
            proxy.wait(passed);
            assert_eq!(send().1, Flow::Stop, "{rule} {left}");
            let reply = proxy.replies.borrow_mut().pop().unwrap();
            assert_eq!(header(&reply, "retry-after"), Some(left), "{rule}");
            assert_eq!(header(&reply, "x-ratelimit-remaining"), Some("0"), "{rule}");
            assert_eq!(header(&reply, "x-ratelimit-reset"), Some(left), "{rule}");
        }
        proxy.wait(1);
        for _ in 0..2 {
            assert_eq!(send().1, Flow::Continue, "{rule}");
        }
        assert_eq!(send().1, Flow::Stop, "{rule}");
        let locks = proxy.count(LOCKS);
        assert_eq!(locks, 2, "{rule}");
    }
}

#[test]
fn a_lock_in_shadow_locks_nothing() {
    let proxy = Proxy::new();
    let runtime = proxy.runtime(&policy(
        "limits: [{ name: logins, per: [org], bucket: { burst: 1, refill: 60/min }, over: { lock: \
         5m }, enforcement: shadow }]",
    ));
    for _ in 0..9 {
        assert_eq!(proxy.get(&runtime, "/a", ALICE).1, Flow::Continue);
    }
    assert_eq!(proxy.count(LOCKS), 0);
}
