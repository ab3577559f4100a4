//! What every inbox must do, stated once and run against each backend.

pub(super) mod admission;
pub(super) mod change;
pub(super) mod delivery;
pub(super) mod follow;
pub(super) mod limits;
pub(super) mod recovery;
pub(super) mod search;
pub(super) mod subjects;
pub(super) mod unreadable;
pub(super) mod upkeep;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::query::{DeliveryFilter, DeliveryState, EventFilter};
use super::*;
use crate::envelope::id_prefix;
use crate::event::{Event, Id, Key, Origin, Outcome, Route, Subject};

/// Turns each property below into a test of the inbox that `$make` opens.
macro_rules! conformance {
    ($make:path, $group:ident: $($property:ident),+ $(,)?) => {$(
        #[tokio::test]
        async fn $property() {
            let inbox = $make().await;
            $crate::inbox::conformance::$group::$property(&*inbox).await;
            inbox.close().await.unwrap();
        }
    )+};
}
pub(super) use conformance;

pub(super) const TTL: Duration = Duration::from_secs(60);

/// Seconds after the tests' beginning of time.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// An offer under construction.
#[derive(Clone)]
pub(super) struct Given {
    id: &'static str,
    subject: Option<&'static str>,
    time: Option<i64>,
    command: bool,
    moves_mark: bool,
    body: &'static str,
    wanted: Vec<Wanted>,
    received: i64,
    source: IpAddr,
}

pub(super) fn event(id: &'static str) -> Given {
    Given {
        id,
        subject: Some("incident:664af"),
        time: None,
        command: false,
        moves_mark: true,
        body: "{}",
        wanted: Vec::new(),
        received: 0,
        source: IpAddr::from([47, 94, 95, 118]),
    }
}

impl Given {
    pub(super) fn of(mut self, subject: &'static str) -> Self {
        self.subject = Some(subject);
        self
    }

    pub(super) fn time(mut self, time: i64) -> Self {
        self.time = Some(time);
        self
    }

    pub(super) fn command(mut self) -> Self {
        self.command = true;
        self.moves_mark = false;
        self
    }

    pub(super) fn far_ahead(mut self, time: i64) -> Self {
        self.time = Some(time);
        self.moves_mark = false;
        self
    }

    pub(super) fn alone(mut self) -> Self {
        self.subject = None;
        self
    }

    pub(super) fn body(mut self, body: &'static str) -> Self {
        self.body = body;
        self
    }

    pub(super) fn received(mut self, seconds: i64) -> Self {
        self.received = seconds;
        self
    }

    pub(super) fn sent_by(mut self, source: &str) -> Self {
        self.source = source.parse().unwrap();
        self
    }

    pub(super) fn to(mut self, sink: SinkId) -> Self {
        self.wanted.push(Wanted {
            sink,
            order: Order::Subject,
            fresh: true,
            stale: false,
        });
        self
    }

    pub(super) fn with_stale_to(mut self, sink: SinkId) -> Self {
        self = self.to(sink);
        self.wanted.last_mut().unwrap().stale = true;
        self
    }

    pub(super) fn offer(self) -> Offer {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&id_prefix(self.id));
        for (place, byte) in key[8..].iter_mut().zip(self.id.bytes()) {
            *place = byte;
        }
        Offer {
            event: Arc::new(Event {
                event_id: Some(Id::new(self.id)),
                event_type: Id::new(if self.command { "i_custom" } else { "i_ack" }),
                event_time: self.time,
                subject: self.subject.and_then(Subject::parse),
                route: Route::default(),
                command: self.command,
                source_ip: Some(self.source),
                peer_ip: Some(IpAddr::from([10, 0, 0, 1])),
                received_at: at(self.received),
                origin: Origin::Push,
                trace_parent: None,
                body: Bytes::from_static(self.body.as_bytes()),
            }),
            key: Some(Key(key)),
            moves_mark: self.moves_mark,
            wanted: self.wanted.into(),
        }
    }
}

pub(super) async fn offer(inbox: &dyn Inbox, given: Given) -> Offered {
    offer_all(inbox, vec![given]).await[0]
}

pub(super) async fn offer_all(inbox: &dyn Inbox, given: Vec<Given>) -> Vec<Offered> {
    let batch = Batch {
        offers: given.into_iter().map(Given::offer).collect(),
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), at(0)).await.unwrap().offered
}

pub(super) async fn claim(
    inbox: &dyn Inbox,
    sink: SinkId,
    slots: usize,
    now: Timestamp,
) -> Committed {
    let batch = Batch {
        claims: vec![Claim::new(sink, slots, TTL)],
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), now).await.unwrap()
}

pub(super) async fn settle(
    inbox: &dyn Inbox,
    lease: Lease,
    settlement: Settlement,
    now: Timestamp,
) -> Committed {
    let batch = Batch {
        settled: vec![lease.settle(settlement)],
        ..Batch::default()
    };
    inbox.commit(Arc::new(batch), now).await.unwrap()
}

pub(super) async fn pending(inbox: &dyn Inbox) -> u64 {
    inbox
        .counts()
        .await
        .unwrap()
        .sinks
        .iter()
        .map(|sink| sink.pending)
        .sum()
}

pub(super) async fn state(inbox: &dyn Inbox, seq: Seq) -> DeliveryState {
    let filter = DeliveryFilter {
        seq: Some(seq),
        limit: 10,
        ..DeliveryFilter::default()
    };
    inbox.deliveries(filter).await.unwrap().items[0].state
}

/// Runs every property against the inbox that `$make` opens.
macro_rules! every_property {
    ($make:path) => {
        $crate::inbox::conformance::conformance! { $make, admission:
            the_same_event_is_stored_once,
            a_duplicate_with_another_body_is_noticed,
            a_batch_is_judged_one_by_one,
            only_a_strictly_earlier_event_of_the_subject_is_stale,
            a_command_is_never_stale_and_moves_no_mark,
            a_time_far_ahead_moves_no_mark,
            a_stale_event_goes_only_where_it_is_asked_for,
            a_body_comes_back_byte_for_byte,
        }
        $crate::inbox::conformance::conformance! { $make, delivery:
            a_leased_delivery_is_not_leased_again,
            a_new_event_is_leased_by_the_transaction_that_stores_it,
            a_subjects_deliveries_follow_one_another,
            subjects_do_not_wait_for_each_other,
            events_without_a_subject_do_not_wait_for_each_other,
            no_more_is_leased_than_there_are_slots,
            bodies_that_are_leased_take_bounded_memory,
            a_lease_that_ran_out_is_found_and_marked,
            a_lost_lease_changes_nothing_however_it_ends,
            a_retry_waits_until_it_is_due,
            a_released_lease_does_not_count_as_an_attempt,
            a_release_does_not_hide_that_an_earlier_attempt_may_have_begun,
            a_dead_delivery_no_longer_holds_back_its_subject,
            a_lease_that_began_no_attempt_is_none,
            a_lease_that_finds_an_interrupted_attempt_is_none,
        }
        $crate::inbox::conformance::conformance! { $make, change:
            what_is_settled_waits_again_behind_what_waits_of_its_subject,
            a_replay_is_marked_and_one_that_waits_or_runs_is_left_alone,
            a_drop_from_the_middle_keeps_the_order_of_the_rest,
            an_event_without_a_delivery_gets_one_and_the_audit_says_so,
            pages_of_deliveries_show_each_once_when_sinks_share_an_event,
            candidates_for_one_sink_include_events_it_never_got,
            the_latest_supersedes_what_waits_and_not_what_runs,
            the_latest_supersedes_what_would_have_to_be_tried_again,
            what_waits_for_its_retry_is_superseded_after_a_drop_of_the_latest,
            commands_stale_events_and_replays_supersede_nothing,
            a_replay_of_what_was_the_latest_is_not_superseded,
            attempts_are_kept_with_their_answers_also_across_a_replay,
        }
        $crate::inbox::conformance::conformance! { $make, limits:
            attempts_count_against_the_rate_until_a_window_after_their_end,
            new_events_are_leased_within_the_rate_whoever_claims,
            what_expires_uses_up_no_rate,
            a_hold_stops_claims_until_it_is_over,
            a_probe_finds_what_waits_and_a_recovery_makes_all_due,
            what_is_remembered_comes_with_later_leases_of_subject_and_sink,
            an_interrupted_attempt_that_is_put_back_keeps_its_place_where_its_answer_is_needed,
        }
        $crate::inbox::conformance::conformance! { $make, upkeep:
            an_event_is_found_by_id_by_subject_and_by_page,
            settled_events_leave_after_the_retention_and_their_keys_stay,
            room_is_made_in_the_order_in_which_loss_hurts_least,
            nothing_that_waits_is_given_up_unless_its_event_goes_with_it,
            a_subjects_deliveries_follow_one_another_past_those_given_up,
            what_waits_behind_a_running_attempt_is_given_up_and_it_is_not,
            a_clock_that_was_ahead_for_a_while_does_not_stop_the_pruning,
            the_unreadable_box_keeps_the_newest_within_its_bounds,
            urls_are_bounded_and_forgotten_once_nothing_refers_to_them,
            no_page_begins_at_a_cursor_that_none_gave_out,
        }
        $crate::inbox::conformance::conformance! { $make, follow:
            a_follower_of_concurrent_commits_sees_each_event_once_and_in_order,
            what_is_followed_is_what_the_filter_selects_however_it_is_cut,
            a_follower_hears_of_the_last_event_that_was_removed,
        }
        $crate::inbox::conformance::conformance! { $make, search:
            a_text_is_found_however_it_is_written_and_stands_for_itself_alone,
            a_source_is_one_address_or_a_block_of_them,
            a_search_goes_on_where_it_ended_and_loses_and_repeats_nothing,
            a_search_ends_where_events_are_too_old,
            what_came_long_before_it_was_stored_hides_nothing_behind_it,
            a_list_shows_titles_of_bodies_that_are_there_and_not_too_long,
        }
        $crate::inbox::conformance::conformance! { $make, subjects:
            each_subject_is_listed_once_by_its_newest_event,
            a_subject_is_told_by_its_newest_event_that_is_not_stale,
            of_a_body_too_long_for_a_list_only_the_type_is_told,
            a_subjects_events_go_on_where_they_ended_on_each_route,
        }
        $crate::inbox::conformance::conformance! { $make, unreadable:
            unreadable_pushes_are_found_by_time_source_reason_and_route,
            pages_of_unreadable_pushes_show_each_once_in_either_order,
            what_is_removed_by_hand_stands_in_the_audit_with_its_number,
            what_no_other_verb_says_is_noted_in_the_audit,
        }
        $crate::inbox::conformance::conformance! { $make, recovery:
            a_record_is_handled_from_the_moment_it_is_remembered,
            the_history_is_read_on_from_where_it_was_left,
            records_are_remembered_for_eight_days,
        }
    };
}
pub(super) use every_property;
