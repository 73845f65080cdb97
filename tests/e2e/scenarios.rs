//! The scenarios, listed once; each driver's test file makes one test of each.

pub(crate) mod budgets;
pub(crate) mod charges;
pub(crate) mod costs;
pub(crate) mod crafted;
pub(crate) mod dash0;
pub(crate) mod datadog;
pub(crate) mod datocms;
pub(crate) mod dialects;
pub(crate) mod dynatrace;
pub(crate) mod failures;
pub(crate) mod fields;
pub(crate) mod hostile;
pub(crate) mod identity;
pub(crate) mod observed;
pub(crate) mod outages;
pub(crate) mod paths;
pub(crate) mod payloads;
pub(crate) mod pools;
pub(crate) mod promises;
pub(crate) mod records;
pub(crate) mod replies;
pub(crate) mod seats;
pub(crate) mod stated;
pub(crate) mod tiers;
pub(crate) mod updates;
pub(crate) mod uploads;
pub(crate) mod windows;

use crate::harness::{Answer, Call, Client, now};
use std::time::Duration;
use tokio::time::{Instant, sleep};

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
            costs: [
                who_sends_no_body_does_not_pass_a_limit_by_items,
                the_greatest_of_all_that_a_cost_header_says_counts,
                what_is_overdrawn_is_owed_whole,
                a_flood_of_uploads_gives_nobody_a_new_quota,
            ]
            dash0: [
                capacity_comes_back_as_the_window_rolls,
                the_shipped_quotas_hold_under_load,
                whichever_of_user_and_organization_is_reached_first_refuses,
                the_tier_is_found_from_the_request_alone,
                no_tier_takes_from_another,
                the_headers_state_the_shipped_limits,
                a_token_has_a_bucket_of_its_own_on_top,
                a_test_call_counts_as_a_write_of_the_token,
                a_refusal_has_the_trace_of_its_request,
                every_response_behind_the_limiter_has_the_fields,
                the_limit_is_full_again_at_the_reset,
                the_fields_show_the_limit_that_is_nearest_to_exhaustion,
                waiting_out_a_retry_after_with_its_jitter_succeeds,
                limits_follow_plan_and_region,
                an_organizations_limit_is_raised_and_lowered_in_place,
                a_user_of_two_organizations_is_one_user,
            ]
            datadog: [
                every_response_of_a_limited_endpoint_has_the_five_fields,
                what_is_not_limited_has_no_fields,
                events_are_counted_per_organization,
                endpoints_share_one_named_bucket,
                each_user_has_a_budget_of_their_own,
                each_api_key_has_a_budget_of_its_own_in_header_and_query,
                a_pair_of_two_organizations_is_refused,
                a_refusal_says_when_to_come_back,
                a_limit_is_raised_for_one_organization_and_no_count_is_lost,
                a_window_that_turns_under_load_admits_its_quota_each_time,
            ]
            datocms: [
                sixty_requests_in_any_three_seconds_and_no_more,
                the_remaining_count_down_and_a_reset_stands_where_one_must_wait,
                a_free_project_is_refused_until_the_next_month,
                a_paid_project_goes_on_and_its_overage_is_counted,
                a_project_that_switches_to_a_paid_plan_goes_on_at_once,
                the_months_of_each_plan_are_those_that_ship,
            ]
            dialects: [
                a_grpc_web_caller_gets_a_grpc_status,
            ]
            dynatrace: [
                a_payload_has_as_many_bytes_as_its_row_says_and_no_more,
                extensions_and_plugins_are_as_large_as_their_rows_say,
                a_symbol_file_is_measured_as_sent_and_as_it_unpacks,
                custom_metrics_are_counted_per_environment_and_never_refused,
                an_unknown_token_is_turned_away_and_none_is_let_in,
            ]
            failures: [
                a_timeout_is_of_whom_envoy_waits_for,
                a_timeout_of_one_side_is_of_that_side,
                a_grpc_call_that_breaks_off_costs_nothing,
                who_hangs_up_on_a_grpc_call_pays,
                a_plain_response_is_not_free_for_who_asks_in_grpc,
            ]
            fields: [
                the_standard_fields_are_lists_that_a_parser_reads,
                the_standard_reset_is_when_one_more_is_there,
                the_standard_problem_names_what_was_exceeded,
                a_grpc_caller_is_told_the_same_as_metadata,
                a_shadow_limit_stands_beside_an_enforced_one,
                a_header_that_the_gateway_sets_says_what_a_request_costs,
                a_body_costs_its_length,
                a_response_says_what_it_cost_and_may_overdraw,
                what_costs_nothing_is_told_and_never_refused,
                what_is_exempt_carries_nothing,
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
                the_host_of_a_request_is_an_attribute,
                what_stands_twice_is_refused_where_callers_are_asked,
            ]
            observed: [
                the_access_log_says_what_was_decided,
                the_metrics_say_what_was_decided,
                no_key_is_ever_written_down,
                a_401_says_what_is_known_of_its_caller,
            ]
            outages: [
                a_killed_proxy_comes_back_empty_and_serves,
                a_stopped_proxy_ends_what_it_began,
                a_lost_upstream_comes_back,
                a_flood_of_keys_stays_within_the_memory,
            ]
            paths: [
                no_spelling_reaches_the_upstream_without_a_key,
                an_id_with_a_slash_passes_and_counts,
            ]
            payloads: [
                what_is_not_one_media_type_is_read,
                a_length_that_lies_is_no_way_round,
                trailers_end_a_body,
                who_asks_first_is_told_before_the_body,
                who_stops_sending_a_held_body_never_reaches_the_upstream,
                an_answer_that_has_begun_is_cut_off,
                a_bomb_in_any_encoding_is_refused_and_takes_no_memory,
                a_grpc_caller_is_told_in_its_own_way,
                a_body_costs_what_it_comes_to,
            ]
            crafted: [
                blocks_that_hold_nothing_buy_no_work,
                a_thousand_small_bodies_are_decoded_at_once,
                open_bodies_stay_within_the_memory_of_their_worker,
            ]
            uploads: [
                what_is_refused_at_its_end_was_not_served_and_has_paid,
                a_body_that_takes_long_to_read_lets_others_pass,
                a_queue_holds_bodies_back_under_both_settings,
                a_held_body_is_followed_by_its_turn,
                a_head_that_cannot_be_held_is_answered_and_logged,
                a_held_body_may_be_as_large_as_its_limit,
                a_tunnel_has_no_payload_limit,
            ]
            pools: [
                slots_and_queue_are_as_many_as_the_page_says,
                who_waits_ten_seconds_is_refused,
                cheap_requests_pass_and_no_environment_delays_another,
                two_hundred_clients_never_have_more_than_their_slots,
                who_hangs_up_takes_no_slot_along,
                a_queue_of_a_thousand_ends_in_one_moment,
                an_update_lets_in_who_waits_or_nobody_more,
                a_killed_proxy_begins_with_empty_pools,
                a_worker_that_traps_keeps_no_slot,
                a_waiting_body_is_held_back_and_goes_on_whole,
            ]
            records: [
                a_record_has_as_many_bytes_as_its_plan_allows,
                a_record_has_at_most_six_hundred_blocks,
                blocks_nest_at_most_six_deep,
                what_is_not_json_is_no_record,
                an_asset_has_at_most_a_gigabyte_and_no_memory_of_ours,
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
            seats: [
                a_second_editor_is_refused_while_the_first_holds_the_record,
                a_hold_lapses_after_its_last_touch,
                a_refused_record_takes_no_seat,
            ]
            stated: [
                a_refunded_charge_is_not_stated,
                a_refused_request_states_counters_that_it_left_alone,
                a_second_editor_is_told_of_what_it_did_not_take,
                a_cost_that_never_fits_has_no_time_to_come_back,
                a_calendars_reset_is_its_windows_end_for_every_cost,
                every_response_lists_the_same_policies,
                what_is_refused_later_is_not_counted_as_admitted,
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
                an_invalid_policy_is_rejected_and_the_old_one_stays,
                failures_are_given_back_across_an_update,
                a_struct_is_a_policy_too,
                a_struct_has_whole_numbers_of_any_size,
            ]
            windows: [
                two_thousand_clients_get_the_quota_and_no_more,
                an_update_under_load_goes_on_from_the_same_count,
                whichever_limit_refuses_the_others_pay_nothing,
                a_failed_request_is_given_back_to_every_kind_of_window,
                a_token_that_is_also_an_api_key_is_counted_by_how_it_is_presented,
                a_client_of_ipv6_has_one_window_in_all_of_its_network,
                windows_of_the_calendar_end_where_their_zone_says,
                a_flood_of_keys_stays_within_what_check_prints,
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

/// Sends `call` so many times; fails unless each is answered with 200.
pub(crate) async fn exactly(client: &Client, call: &Call, count: usize) {
    let statuses = client.statuses(call, count).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

/// Sends `call` until it is refused; returns what was admitted, and the refusal.
pub(crate) async fn until_refused(client: &Client, call: &Call) -> (Vec<Answer>, Answer) {
    let mut admitted = Vec::new();
    for _ in 0..5_000 {
        let answer = client.send(call.clone()).await;
        match answer.status {
            200 => admitted.push(answer),
            429 => return (admitted, answer),
            other => panic!("status {other} after {} times 200", admitted.len()),
        }
    }
    panic!("never refused")
}

/// What the fields say: the limit, and how much of it is left.
pub(crate) fn limit_and_left(answer: &Answer) -> (u64, u64) {
    let number = |name: &str| answer.number(name).unwrap_or_else(|| panic!("no {name}: {:?}", answer.headers));
    (number("x-ratelimit-limit"), number("x-ratelimit-remaining"))
}

/// The `X-RateLimit-Reset` that is a Unix second; fails unless it lies after the answer's request, and
/// within `window` of it.
pub(crate) fn unix_reset(answer: &Answer, window: Duration) -> Duration {
    let reset = Duration::from_secs(answer.number("x-ratelimit-reset").expect("a reset"));
    assert!(reset > answer.sent, "{reset:?} was over at {:?}", answer.sent);
    assert!(reset < answer.received + window + SECOND, "{reset:?} is late at {:?}", answer.received);
    reset
}

/// Waits until the time since the epoch is `time`.
pub(crate) async fn until(time: Duration) {
    while let Some(left) = time.checked_sub(now()).filter(|left| *left > Duration::ZERO) {
        sleep(left).await;
    }
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

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
