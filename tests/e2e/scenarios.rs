//! The list of scenarios; each driver's test file makes one test of each.

pub(crate) mod attributes;
pub(crate) mod budgets;
pub(crate) mod callers;
pub(crate) mod charges;
pub(crate) mod costs;
pub(crate) mod crafted;
pub(crate) mod dash0;
pub(crate) mod dash0_callers;
pub(crate) mod dash0_fields;
pub(crate) mod datadog;
pub(crate) mod datadog_callers;
pub(crate) mod datocms;
pub(crate) mod dialects;
pub(crate) mod dynatrace;
pub(crate) mod endpoint;
pub(crate) mod failures;
pub(crate) mod fields;
pub(crate) mod floods;
pub(crate) mod gauges;
pub(crate) mod held;
pub(crate) mod hostile;
pub(crate) mod identity;
pub(crate) mod memory;
pub(crate) mod observed;
pub(crate) mod outages;
pub(crate) mod overridden;
pub(crate) mod page_presets;
pub(crate) mod pages;
pub(crate) mod paths;
pub(crate) mod payloads;
pub(crate) mod pending;
pub(crate) mod pools;
pub(crate) mod promises;
pub(crate) mod records;
pub(crate) mod replies;
pub(crate) mod reservations;
pub(crate) mod resets;
pub(crate) mod scopes;
pub(crate) mod seats;
pub(crate) mod shadow;
mod spending;
pub(crate) mod stated;
pub(crate) mod tiers;
pub(crate) mod tunnels;
pub(crate) mod unlisted;
pub(crate) mod updates;
pub(crate) mod uploads;
pub(crate) mod windows;
pub(crate) mod written;

pub(crate) use spending::*;

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
            callers: [
                a_cookie_or_the_user_of_basic_credentials_is_a_secret,
                a_policy_without_credentials_counts_by_address_and_host,
                a_denied_request_receives_a_403,
                wrong_secrets_above_their_limit_receive_a_429,
            ]
            charges: [
                a_refused_request_spends_nothing,
                consecutive_failures_are_refunded,
                parallel_failures_are_refunded,
                a_grpc_failure_is_refunded,
                an_unreachable_upstream_costs_nothing,
                a_client_that_disconnects_is_still_charged,
                an_internal_redirect_is_one_request,
                a_redirect_that_fails_costs_nothing,
                a_redirect_is_charged_in_its_final_tier,
                a_client_that_breaks_its_own_request_is_charged,
                callers_with_different_bursts_share_one_counter,
            ]
            page_presets: [
                github,
                github_secondary,
                github_concurrency,
                shopify,
                openai,
                docker_hub,
            ]
            pages: [
                stripe,
                slack,
                jira,
                notion,
                linear,
                discord,
                discord_invalid_requests,
                x,
                sentry,
            ]
            reservations: [
                a_reservation_holds_under_concurrency,
                only_failures_are_charged_and_concurrent_ones_do_not_slip_through,
                a_lock_outlasts_the_window,
            ]
            costs: [
                a_request_without_a_body_does_not_bypass_a_limit_by_items,
                the_greatest_value_of_a_cost_header_counts,
                an_overdraft_is_owed_in_full,
                a_header_set_by_the_gateway_determines_the_cost,
                a_header_that_is_no_number_costs_one,
                a_body_costs_its_length,
                a_response_states_its_cost_and_may_overdraw,
                requests_without_cost_have_the_fields_and_are_never_refused,
            ]
            dash0: [
                capacity_comes_back_as_the_window_rolls,
                the_shipped_quotas_hold_under_load,
                the_limit_that_is_reached_first_refuses,
                the_tier_is_found_from_the_request_alone,
                no_tier_takes_from_another,
                the_headers_state_the_shipped_limits,
            ]
            dash0_callers: [
                a_token_has_a_bucket_of_its_own_on_top,
                a_test_call_counts_as_a_write_of_the_token,
                limits_follow_plan_and_region,
                an_organizations_limit_is_raised_and_lowered_in_place,
                a_user_of_two_organizations_is_one_user,
            ]
            dash0_fields: [
                a_refusal_has_the_trace_of_its_request,
                every_response_after_the_limiter_has_the_fields,
                the_limit_is_full_again_at_the_reset,
                the_fields_show_the_limit_closest_to_exhaustion,
                waiting_out_a_retry_after_with_its_jitter_succeeds,
            ]
            datadog: [
                every_response_of_a_limited_endpoint_has_the_five_fields,
                unlimited_requests_have_no_fields,
                events_are_counted_per_organization,
                endpoints_share_one_named_bucket,
                a_refusal_states_when_to_retry,
                a_window_that_ends_under_load_admits_its_quota_each_time,
            ]
            datadog_callers: [
                each_user_has_a_budget_of_their_own,
                each_api_key_has_a_budget_of_its_own_in_header_and_query,
                a_pair_of_two_organizations_is_refused,
                a_limit_is_raised_for_one_organization_and_keeps_its_counts,
            ]
            datocms: [
                sixty_requests_in_any_three_seconds_and_no_more,
                the_remaining_count_down_and_refusals_have_a_reset,
                a_free_project_is_refused_until_the_next_month,
                a_paid_project_continues_and_its_overage_is_counted,
                a_project_that_switches_to_a_paid_plan_continues_at_once,
                the_shipped_monthly_quotas_are_those_of_the_plans,
            ]
            dialects: [
                a_grpc_web_caller_gets_a_grpc_status,
            ]
            dynatrace: [
                a_payload_is_bounded_as_its_row_states,
                extensions_and_plugins_are_bounded_as_their_rows_state,
                a_symbol_file_is_measured_as_sent_and_unpacked,
                custom_metrics_are_counted_per_environment_and_never_refused,
                an_unknown_token_is_refused_and_a_missing_one_admitted,
            ]
            failures: [
                a_timeout_is_the_failure_of_the_side_that_envoy_waits_for,
                a_timeout_of_one_side_is_the_failure_of_that_side,
                a_grpc_call_that_breaks_off_costs_nothing,
                a_client_that_disconnects_from_a_grpc_call_is_charged,
                a_plain_response_to_a_grpc_request_is_charged,
            ]
            fields: [
                the_standard_fields_are_lists_that_a_parser_reads,
                the_standard_reset_is_the_time_of_the_next_unit,
                the_standard_problem_names_what_was_exceeded,
                a_grpc_caller_is_told_the_same_as_metadata,
            ]
            unlisted: [
                a_shadow_limit_works_next_to_an_enforced_one,
                exempt_requests_have_no_fields,
            ]
            hostile: [
                no_bytes_crash_the_filter,
                ambiguous_credentials_are_refused,
                an_empty_credential_is_absent,
                a_scheme_is_case_insensitive,
                no_client_can_forge_a_redirect,
            ]
            identity: [
                the_demo_session_works_as_documented,
                a_session_and_a_token_are_distinguished_in_one_header,
                a_session_and_a_token_must_belong_to_one_caller,
                a_refreshed_session_is_the_same_caller,
                one_secret_in_two_places_is_one_caller,
                a_user_of_two_organizations_shares_the_limits_per_user,
            ]
            attributes: [
                the_answer_of_an_authorization_service_is_an_attribute,
                metadata_of_the_configuration_is_an_attribute,
                a_clients_address_is_the_one_that_envoy_determines,
                a_client_is_known_by_its_certificate,
                an_unrequested_certificate_is_ignored,
                a_trusted_header_is_read_as_received,
                a_label_of_the_host_is_an_attribute,
                the_host_of_a_request_is_an_attribute,
                duplicates_are_refused_where_callers_are_identified,
            ]
            observed: [
                the_access_log_shows_the_decisions,
                the_json_log_has_the_documented_fields,
                the_metrics_show_the_decisions,
                the_metrics_name_the_revision,
                no_key_is_ever_logged,
                a_401_logs_what_is_known_of_its_caller,
            ]
            outages: [
                a_killed_proxy_restarts_with_empty_counters,
                a_stopped_proxy_ends_every_request,
                a_lost_upstream_comes_back,
                a_flood_of_keys_stays_within_the_memory,
            ]
            paths: [
                no_spelling_reaches_the_upstream_without_a_key,
                an_id_with_a_slash_passes_and_counts,
            ]
            payloads: [
                a_body_without_exactly_one_media_type_is_read,
                a_wrong_length_bypasses_no_limit,
                trailers_end_a_body,
                a_client_that_expects_100_is_answered_before_the_body,
                an_unfinished_held_body_never_reaches_the_upstream,
                a_response_that_has_begun_is_broken_off,
                a_bomb_in_any_encoding_is_refused_and_takes_no_memory,
                a_grpc_caller_gets_a_grpc_refusal,
                a_body_costs_its_measurements,
            ]
            crafted: [
                empty_blocks_allow_no_work,
                empty_blocks_allow_no_work_under_the_presets,
                a_thousand_small_bodies_are_decoded_at_once,
                open_bodies_stay_within_the_memory_of_their_worker,
            ]
            uploads: [
                a_body_refused_at_its_end_is_not_served_and_is_charged,
                a_complete_body_is_served_whatever_its_ending,
                a_long_body_lets_others_pass,
                many_long_bodies_at_once_are_all_answered,
                others_are_served_between_the_slices_of_a_body,
            ]
            held: [
                a_queue_holds_bodies_back_under_both_settings,
                a_held_body_is_read_before_the_queue,
                a_head_that_cannot_be_held_is_answered_and_logged,
                a_held_body_may_be_as_large_as_its_limit,
                a_waiting_body_is_held_back_and_forwarded_whole,
            ]
            memory: [
                five_listeners_share_the_memory_of_their_worker,
                policies_that_drain_share_the_memory_with_the_new_one,
            ]
            gauges: [
                open_uploads_and_their_memory_are_shown,
                the_uploads_of_a_worker_that_traps_go,
            ]
            pending: [
                an_unfinished_body_outlasts_updates,
                an_unfinished_body_outlasts_its_listener,
                a_body_being_read_outlasts_updates,
                a_drain_that_ends_leaves_nothing_behind,
                an_upload_answered_early_is_charged,
            ]
            tunnels: [
                a_tunnel_has_no_payload_limit,
                bytes_before_a_tunnel_begins_are_limited,
            ]
            overridden: [
                pools_and_seats_have_numbers_and_answers_of_their_own,
            ]
            pools: [
                slots_and_queue_are_as_large_as_documented,
                a_request_that_waits_ten_seconds_is_refused,
                cheap_requests_pass_and_no_environment_delays_another,
                two_hundred_clients_never_have_more_than_their_slots,
                a_client_that_disconnects_keeps_no_slot,
                a_queue_of_a_thousand_times_out_at_once,
                an_update_admits_waiting_requests_or_none,
                a_killed_proxy_begins_with_empty_pools,
                a_worker_that_traps_keeps_no_slot,
            ]
            records: [
                the_bytes_of_a_record_are_bounded_by_its_plan,
                a_record_has_at_most_six_hundred_blocks,
                blocks_nest_at_most_six_deep,
                a_body_that_is_not_json_is_not_a_record,
                an_asset_has_at_most_a_gigabyte_and_needs_no_memory,
            ]
            replies: [
                a_refusal_is_exactly_as_documented,
                waiting_it_out_succeeds,
                no_key_or_a_wrong_one_is_unauthorized,
                outside_the_routes_no_key_is_needed,
                the_fields_are_the_gateways_own,
                without_a_limit_there_are_no_fields,
                a_grpc_caller_gets_a_grpc_status,
                the_refused_body_is_filled_in,
            ]
            scopes: [
                words_of_per_and_exceptions,
            ]
            seats: [
                a_second_editor_is_refused_while_the_first_holds_the_record,
                a_hold_lapses_after_its_last_touch,
                a_refused_record_takes_no_seat,
            ]
            stated: [
                a_refunded_charge_is_not_stated,
                a_refused_request_states_counters_that_it_did_not_change,
                a_refused_editor_sees_counters_without_its_request,
                every_response_lists_the_same_policies,
                later_refusals_are_not_counted_as_admitted,
            ]
            resets: [
                a_cost_that_never_fits_has_no_retry_time,
                a_body_states_no_retry_time_for_a_cost_that_never_fits,
                a_calendars_reset_is_its_windows_end_for_every_cost,
            ]
            tiers: [
                tiers_have_budgets_of_their_own,
                paths_belong_to_the_documented_tiers,
                a_path_is_the_same_in_any_spelling,
                the_upstream_gets_the_path_that_was_matched,
            ]
            updates: [
                a_bootstrap_without_updates_serves_too,
                an_override_keeps_the_counts,
                an_invalid_policy_is_rejected_and_the_old_one_stays,
                failures_are_refunded_across_an_update,
                a_struct_is_a_policy_too,
                a_struct_has_whole_numbers_of_any_size,
                the_filter_and_its_log_state_the_version,
            ]
            windows: [
                two_thousand_clients_get_the_quota_and_no_more,
                an_update_under_load_keeps_the_counts,
                a_refusal_by_one_limit_charges_no_other,
                a_failed_request_is_refunded_in_every_kind_of_window,
                a_token_that_is_also_an_api_key_is_counted_by_how_it_is_presented,
                a_client_of_ipv6_has_one_window_in_all_of_its_network,
                calendar_windows_end_as_their_zone_requires,
            ]
            floods: [
                a_flood_of_uploads_resets_no_quota,
                a_flood_of_keys_stays_within_the_memory_that_check_prints,
            ]
            shadow: [
                a_policy_in_shadow_changes_nothing,
            ]
            endpoint: [
                a_caller_asks_for_its_own_numbers,
            ]
            written: [
                a_policy_writes_fields_of_its_own,
                an_exempt_request_has_no_written_field_of_the_upstream,
                each_limit_answers_in_its_own_words,
                a_grpc_caller_keeps_its_status_and_gets_the_headers,
                a_limit_that_is_never_shown_is_never_named,
                a_payload_limit_answers_in_its_own_words,
                a_refusal_states_what_is_left_and_no_time_if_none_helps,
            ]
        }
    };
}

pub(crate) use for_each_scenario;
