//! The scenarios, listed once; each driver's test file makes one test of each.

pub(crate) mod budgets;
pub(crate) mod charges;
pub(crate) mod hostile;
pub(crate) mod identity;
pub(crate) mod observed;
pub(crate) mod outages;
pub(crate) mod replies;
pub(crate) mod tiers;
pub(crate) mod updates;

use crate::harness::{Call, Client};
use std::time::Duration;
use tokio::time::Instant;

/// Calls `$each!` with every scenario.
macro_rules! for_each_scenario {
    ($each:ident) => {
        $each! {
            budgets: [
                two_keys_of_one_organization_share_one_budget,
                a_full_burst_then_one_a_second,
                two_hundred_parallel_clients_get_the_burst_and_the_refill,
                a_refusal_takes_nothing_from_any_limit,
            ]
            charges: [
                a_refused_request_spends_nothing,
                failures_one_after_the_other_are_given_back,
                failures_in_parallel_are_given_back,
                a_grpc_failure_is_given_back,
                an_upstream_that_is_gone_costs_nothing,
                a_client_that_hangs_up_still_pays,
                an_internal_redirect_is_one_request,
                a_redirect_that_fails_costs_nothing,
                a_redirect_is_charged_where_it_ends,
                a_client_that_breaks_its_own_request_has_paid,
                callers_with_different_bursts_share_one_count,
            ]
            hostile: [
                no_bytes_bring_the_filter_down,
                credentials_that_say_two_things_are_refused,
                an_empty_credential_is_absent,
                a_scheme_is_the_same_in_any_letters,
                nobody_can_pretend_to_be_a_redirect,
            ]
            identity: [
                the_demo_session_works_as_it_is_told,
                a_session_and_a_token_are_told_apart_in_one_header,
                a_session_beside_a_token_must_be_the_same_callers,
                a_refreshed_session_is_the_same_caller,
                one_secret_in_two_places_is_one_caller,
                a_user_of_two_organizations_shares_what_is_theirs,
                what_an_authorization_service_says_is_an_attribute,
                the_configurations_metadata_is_an_attribute,
                a_clients_address_is_what_envoy_says_it_is,
                a_client_is_known_by_its_certificate,
                a_certificate_that_is_not_asked_for_says_nothing,
                a_trusted_header_is_believed_as_it_arrives,
                what_stands_twice_is_refused_where_callers_are_asked,
            ]
            observed: [
                the_access_log_says_what_was_decided,
                the_metrics_say_what_was_decided,
                no_key_is_ever_written_down,
            ]
            outages: [
                a_killed_proxy_comes_back_empty_and_serves,
                a_stopped_proxy_ends_what_it_began,
                a_lost_upstream_comes_back,
                a_flood_of_keys_stays_within_the_memory,
            ]
            replies: [
                a_refusal_is_the_page_to_the_letter,
                waiting_it_out_succeeds,
                no_key_or_a_wrong_one_is_unauthorized,
                outside_the_routes_no_key_is_needed,
                the_fields_are_the_gateways_own,
                without_a_limit_there_are_no_fields,
                a_grpc_caller_gets_a_grpc_status,
                the_refused_body_is_filled_in,
            ]
            tiers: [
                tiers_have_budgets_of_their_own,
                paths_belong_where_the_page_says,
                a_path_is_the_same_in_any_spelling,
                the_upstream_gets_the_path_that_was_matched,
            ]
            updates: [
                a_bootstrap_without_updates_serves_too,
                an_override_keeps_the_counts,
                a_faulty_policy_is_refused_and_the_old_one_goes_on,
                failures_are_given_back_across_an_update,
                a_struct_is_a_policy_too,
            ]
        }
    };
}

pub(crate) use for_each_scenario;

/// The demo keys of the preset.
pub(crate) const ACME: [&str; 2] = ["demo-acme-1", "demo-acme-2"];
pub(crate) const GLOBEX: &str = "demo-globex-1";

/// The keys of the tests' own policies.
pub(crate) const ALPHA: [&str; 2] = ["e2e-alpha-1", "e2e-alpha-2"];
pub(crate) const BETA: &str = "e2e-beta-1";

/// What the page promises for the Standard tier: 60 a minute, bursts of 100.
pub(crate) const STANDARD: Bucket = Bucket { burst: 100, refill_per_min: 60 };

/// And for the Data read tier: 600 a minute, bursts of 1,000.
pub(crate) const DATA_READ: Bucket = Bucket { burst: 1_000, refill_per_min: 600 };

/// A bucket's promise, to hold a measured run against.
#[derive(Clone, Copy)]
pub(crate) struct Bucket {
    pub(crate) burst: u64,
    pub(crate) refill_per_min: u64,
}

impl Bucket {
    /// The most that may be admitted within `elapsed`.
    pub(crate) fn most(self, elapsed: Duration) -> u64 {
        self.burst + (u128::from(self.refill_per_min) * elapsed.as_millis()).div_ceil(60_000) as u64
    }

    /// Fails unless a caller that was refused at the end got the whole burst, and no more than the refill on top.
    pub(crate) fn assert_spent(self, admitted: u64, elapsed: Duration) {
        let (burst, most) = (self.burst, self.most(elapsed));
        assert!((burst..=most).contains(&admitted), "admitted {admitted} in {elapsed:?}: not in {burst}..={most}");
    }
}

/// Sends `call` until it is refused; returns how many were answered with 200, and how long it took.
pub(crate) async fn spend(client: &Client, call: &Call) -> (u64, Duration) {
    let begun = Instant::now();
    for admitted in 0..5_000 {
        match client.send(call.clone()).await.status {
            200 => {}
            429 => return (admitted, begun.elapsed()),
            other => panic!("status {other} after {admitted} times 200"),
        }
    }
    panic!("never refused")
}
