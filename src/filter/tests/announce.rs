//! The announcement of a policy in the metrics.

use super::*;
use crate::filter::announce::announce;
use crate::policy::Policy;
use crate::policy::document::from_yaml;

const LOADED: &str = "policy=.=demo;.;sluicegate_policy_loaded_seconds";

fn policy(revision: &str) -> Policy {
    let text = POLICY.replace("name: demo", &format!("name: demo\nrevision: {revision}"));
    Policy::compile(&from_yaml(&text).unwrap()).unwrap()
}

fn start(proxy: &Proxy, revision: &str) {
    let define = |kind, name: &str| proxy.define_metric(kind, name);
    announce(&policy(revision), proxy, define).unwrap();
}

fn info(proxy: &Proxy, revision: &str) -> u64 {
    let version = crate::base::VERSION;
    proxy.count(&format!(
        "policy=.=demo;.;revision=.={revision};.;version=.={version};.;sluicegate_policy_info"
    ))
}

#[test]
fn only_the_current_revision_is_1_and_all_workers_show_the_time_of_the_first() {
    let proxy = Proxy::new();
    let first = proxy.now.get() / 1_000_000_000;
    start(&proxy, "git:1a");
    proxy.wait(5);
    start(&proxy, "git:1a");
    assert_eq!((info(&proxy, "git:1a"), proxy.count(LOADED)), (1, first));
    assert_eq!(proxy.count("policy=.=demo;.;sluicegate_keys_max"), 100_000);

    proxy.wait(5);
    start(&proxy, "git:2b");
    proxy.wait(5);
    start(&proxy, "git:2b");
    assert_eq!((info(&proxy, "git:1a"), info(&proxy, "git:2b")), (0, 1));
    assert_eq!(proxy.count(LOADED), first + 10);

    start(&proxy, "git:1a");
    assert_eq!((info(&proxy, "git:1a"), info(&proxy, "git:2b")), (1, 0));
    assert_eq!(proxy.count(LOADED), first + 15);
}

#[test]
fn a_fault_of_the_host_is_reported() {
    let proxy = Proxy::new();
    proxy.data.fault.set(Some(Fault::HostStatus(10)));
    let announced = announce(&policy("a"), &proxy, |kind, name| {
        proxy.define_metric(kind, name)
    });
    assert_eq!(announced, Err(Fault::HostStatus(10)));
}
