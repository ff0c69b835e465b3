//! Leads, checks, boundaries, retries and the governor.

use jiff::Timestamp;
use std::time::Duration;
use syniverse_token_core::issuer::Kind;
use syniverse_token_core::issuer::{Cause, FailureKind, Lifetime, expiry_moves};
use syniverse_token_core::redacted::Redacted;
use syniverse_token_core::schedule::EndpointLoad;
use syniverse_token_core::schedule::expiry_poll::ExpiryPoll;
use syniverse_token_core::schedule::rate_limiter::{CALLS, REPAIRS, RateLimiter, refill};
use syniverse_token_core::schedule::retry::{Backoff, FailedRequest, retry_at};
use syniverse_token_core::schedule::{ObservedExpiry, RefreshPolicy, TokenLifetime, refresh_lead};
use syniverse_token_core::state::TokenRecord;
use syniverse_token_core::time::{Moment, Now, later};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(seconds: f64) -> Moment {
    Moment::after_start(Duration::from_secs_f64(seconds))
}

const START: i64 = 1_790_000_000;

/// The present, `seconds` after a start at which both axes stood together.
fn now(seconds: u64) -> Now {
    let wall = Timestamp::from_second(START + i64::try_from(seconds).unwrap()).unwrap();
    Now { mono: Moment::after_start(s(seconds)), wall }
}

fn issued(lifetime: Option<u64>) -> TokenRecord {
    let expires = lifetime.map(|lifetime| now(lifetime).wall);
    TokenRecord {
        lifetime_seconds: lifetime,
        asked_seconds: lifetime,
        ..TokenRecord::new(Kind::Application, Redacted::new("token"), now(0).wall, expires)
    }
}

fn terms(validity: u64) -> RefreshPolicy {
    RefreshPolicy {
        refresh_before: None,
        validity: Some(s(validity)),
        hand_over_lead: None,
        daily_check: s(86_400),
        spread: 7_000,
        spread_validity: true,
        load: EndpointLoad::default(),
    }
}

fn due(policy: &RefreshPolicy, record: &TokenRecord, poll: Option<&ExpiryPoll>, now: Now) -> Option<(Cause, Moment)> {
    let lifetime = TokenLifetime::of(record, "f", None, now);
    policy.next_due(record, &lifetime, poll, now).map(|due| (due.cause, due.at))
}

#[test]
fn the_default_lead_is_a_tenth_of_the_validity_and_at_most_five_minutes() {
    assert_eq!(refresh_lead(None, Some(s(600)), s(600)), s(60));
    assert_eq!(refresh_lead(None, Some(s(86_400)), s(86_400)), s(300));
}

#[test]
fn the_lead_is_never_more_than_half_of_what_the_answer_reported() {
    assert_eq!(refresh_lead(Some(s(300)), Some(s(3600)), s(3600)), s(300));
    assert_eq!(refresh_lead(Some(s(300)), Some(s(3600)), s(100)), s(50));
    assert_eq!(refresh_lead(None, Some(s(600)), s(20)), s(10));
}

#[test]
fn the_lead_of_a_token_that_was_not_to_expire_follows_its_own_lifetime() {
    assert_eq!(refresh_lead(None, Some(s(0)), s(1000)), s(100));
}

#[test]
fn an_answer_for_the_same_token_moves_its_expiry_only_by_more_than_rounding() {
    let known = Some(at(100.0));
    let cases = [
        (80.0, 20, false), // as known
        (80.0, 22, false), // 2 s later is rounding
        (80.0, 23, true),  // later
        (80.0, 18, false), // 2 s earlier is rounding
        (80.0, 17, true),  // earlier
        (100.5, 1, false), // at its end
        (300.0, 1, false), // still at its end: not a life of its own
        (300.0, 0, false),
        (300.0, 2, true), // it lives on
        (50.0, 0, true),  // dead before its time
    ];
    for (sent, left, moves) in cases {
        assert_eq!(expiry_moves(known, at(sent), Lifetime::Seconds(left)), moves, "sent {sent}, {left} s left");
    }
    assert!(expiry_moves(known, at(0.0), Lifetime::Never));
    assert!(expiry_moves(None, at(0.0), Lifetime::Seconds(5)));
    assert!(!expiry_moves(None, at(0.0), Lifetime::Never));
}

#[test]
fn a_token_is_checked_once_before_its_expiry_and_asked_at_it() {
    let policy = terms(600);
    assert_eq!(due(&policy, &issued(Some(600)), None, now(1)), Some((Cause::Check, at(540.0))));
    let checked = TokenRecord { checked: true, ..issued(Some(600)) };
    assert_eq!(due(&policy, &checked, None, now(550)), Some((Cause::Boundary, at(600.0))));
}

#[test]
fn an_expiry_that_has_come_is_asked_at_even_if_the_check_was_missed() {
    assert_eq!(due(&terms(600), &issued(Some(600)), None, now(601)), Some((Cause::Boundary, at(600.0))));
}

#[test]
fn no_check_follows_an_answer_that_is_younger_than_the_lead() {
    // Reported lifetime 1 s: the lead is half a second, the answer as old as that at the check.
    assert_eq!(due(&terms(600), &issued(Some(1)), None, now(0)), Some((Cause::Boundary, at(1.0))));
}

#[test]
fn the_first_expiry_is_asked_at_even_when_a_later_one_was_reported() {
    let later = TokenRecord { checked: true, expiration_time: Some(now(900).wall), ..issued(Some(600)) };
    assert_eq!(due(&terms(600), &later, None, now(0)), Some((Cause::Boundary, at(600.0))));
    let earlier = TokenRecord { checked: true, expiration_time: Some(now(300).wall), ..issued(Some(600)) };
    assert_eq!(due(&terms(600), &earlier, None, now(0)), Some((Cause::Boundary, at(300.0))));
}

#[test]
fn a_long_lived_token_is_looked_after_once_a_day_at_its_own_moment() {
    let (policy, never) = (terms(0), issued(None));
    let (cause, first) = due(&policy, &never, None, now(0)).unwrap();
    assert_eq!(cause, Cause::DailyCheck);
    assert!(first > at(0.0) && first <= at(86_400.0));
    let looked = TokenRecord { daily_check_time: Some(now(90_000).wall), ..never.clone() };
    assert_eq!(due(&policy, &looked, None, now(90_000)), Some((Cause::DailyCheck, first + s(86_400))));
    let elsewhere = RefreshPolicy { spread: 8_000, ..policy.clone() };
    assert_ne!(due(&elsewhere, &never, None, now(0)), due(&policy, &never, None, now(0)));
    let planned = policy.planned_time(&never).unwrap();
    assert_eq!(now(0).moment_of(planned), first);
}

#[test]
fn a_token_with_a_day_or_less_to_live_gets_no_daily_check() {
    let checked = TokenRecord { checked: true, ..issued(Some(86_400)) };
    assert_eq!(due(&terms(86_400), &checked, None, now(0)), Some((Cause::Boundary, at(86_400.0))));
}

#[test]
fn a_clock_that_was_once_a_year_ahead_puts_off_no_daily_check() {
    let ahead = TokenRecord { daily_check_time: Some(now(31_536_000).wall), ..issued(None) };
    let (cause, at) = due(&terms(0), &ahead, None, now(100_000)).unwrap();
    assert_eq!(cause, Cause::DailyCheck);
    assert!(at < now(200_000).mono, "{at:?}");
}

#[test]
fn what_status_shows_of_a_long_lived_token_is_its_daily_check() {
    let planned = terms(2_592_000).planned_time(&issued(Some(2_592_000))).unwrap();
    assert!(planned <= now(86_400).wall, "{planned}");
}

#[test]
fn a_wall_clock_before_the_issue_time_is_not_believed() {
    let early = Now { mono: at(10.0), wall: Timestamp::from_second(START - 61).unwrap() };
    assert_eq!(due(&terms(600), &issued(Some(600)), None, early), Some((Cause::ClockDoubt, early.mono)));
    let within = Now { mono: at(10.0), wall: Timestamp::from_second(START - 59).unwrap() };
    assert_ne!(due(&terms(600), &issued(Some(600)), None, within).unwrap().0, Cause::ClockDoubt);
}

#[test]
fn what_status_shows_is_the_check_and_then_the_expiry() {
    assert_eq!(terms(600).planned_time(&issued(Some(600))), Some(now(540).wall));
    let checked = TokenRecord { checked: true, ..issued(Some(600)) };
    assert_eq!(terms(600).planned_time(&checked), Some(now(600).wall));
}

/// The life of a token whose last answer was to a request sent at `sent`.
fn answered(record: &TokenRecord, sent: Moment) -> TokenLifetime {
    let expires = record.expiration_time.map(|time| now(0).moment_of(time));
    let wall = later(now(0).wall, sent.until(at(0.0)));
    let answered = Now { mono: sent, wall };
    let own = ObservedExpiry { fingerprint: "f".into(), answered, expires, first_expires: expires, round_trip: None };
    TokenLifetime::of(record, "f", Some(&own), answered)
}

/// Asks at a boundary that never rotates, for `length`, and gives when.
fn asks(left: u64, length: Duration) -> Vec<Moment> {
    let (policy, record) = (terms(600), TokenRecord { checked: true, ..issued(Some(600)) });
    let (mut poll, mut asks) = (ExpiryPoll::of("f".into()), Vec::new());
    let mut sent = at(600.0);
    while sent < at(600.0) + length {
        assert!(asks.len() < 1000, "it asks without end");
        asks.push(sent);
        poll.request_sent(sent);
        poll.token_unchanged(sent, Lifetime::Seconds(left));
        let lifetime = answered(&record, sent);
        let due = policy.next_due(&record, &lifetime, Some(&poll), now(600)).unwrap();
        assert_eq!(due.cause, Cause::Boundary);
        sent = due.at.max(poll.next_allowed(sent));
    }
    asks
}

#[test]
fn a_boundary_asks_after_0_1_s_doubling_up_to_5_s() {
    let asks = asks(0, s(12));
    let steps: Vec<_> = asks.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(steps, [100, 200, 400, 800, 1600, 3200, 5000]);
}

#[test]
fn a_boundary_makes_17_calls_in_its_first_minute_and_then_one_a_minute() {
    assert_eq!(asks(0, s(60)).len(), 17);
    assert!(asks(0, s(600)).len() <= 17 + 10);
}

#[test]
fn a_token_with_two_seconds_left_is_asked_for_one_second_before_that_end() {
    let mut poll = ExpiryPoll::of("f".into());
    poll.token_unchanged(at(602.5), Lifetime::Seconds(7));
    let record = TokenRecord { checked: true, ..issued(Some(600)) };
    let lifetime = answered(&record, at(602.5));
    let due = terms(600).next_due(&record, &lifetime, Some(&poll), now(600)).unwrap();
    assert_eq!(due.at, at(608.5));
}

#[test]
fn an_answer_without_any_time_left_is_followed_by_another_ask_a_tenth_of_a_second_later() {
    let dead_born = TokenRecord { checked: true, ..issued(Some(0)) };
    assert_eq!(due(&terms(600), &dead_born, None, now(0)), Some((Cause::Boundary, at(0.1))));
}

#[test]
fn a_token_is_barely_over_for_two_seconds_after_each_of_its_ends() {
    let later = TokenRecord { expiration_time: Some(now(900).wall), ..issued(Some(600)) };
    let lifetime = TokenLifetime::of(&later, "f", None, now(0));
    for (sent, expected) in [(599.9, false), (600.0, true), (601.9, true), (602.0, false), (900.5, true)] {
        assert_eq!(lifetime.is_barely_over(at(sent)), expected, "{sent}");
    }
}

#[test]
fn an_issuer_that_always_says_two_seconds_gets_at_most_20_calls_a_minute() {
    let asks = asks(2, s(300));
    for (index, first) in asks.iter().enumerate() {
        let within = asks[index..].iter().filter(|ask| **ask < *first + s(60)).count();
        assert!(within <= 20, "{within} calls in the minute from {first:?}");
    }
}

fn failed(kind: FailureKind, count: u32) -> FailedRequest {
    FailedRequest {
        kind,
        count,
        failed_at: at(1000.0),
        retry_after: None,
        expires: None,
        before_expiry: false,
        may_come_early: false,
        urgent: false,
        endpoint_down: false,
        was_served: false,
        is_hand_over: false,
        idle_until: None,
        spread: 42,
    }
}

fn delay(failed: FailedRequest) -> Duration {
    retry_at(failed).until(failed.failed_at)
}

#[test]
fn retries_grow_from_a_second_to_a_minute_with_a_quarter_of_jitter() {
    for (count, base) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (100, 60)] {
        let delay = delay(failed(FailureKind::Refused, count));
        assert!(delay >= s(base).mul_f64(0.75) && delay <= s(base).mul_f64(1.25).min(s(60)), "{count}: {delay:?}");
    }
    let delays = Backoff { first: s(1), longest: s(60) };
    assert_ne!(delays.after(3, 1), delays.after(3, 2));
}

#[test]
fn a_retry_that_presses_waits_at_most_4_s_while_the_endpoint_is_down() {
    let pressing = FailedRequest { urgent: true, endpoint_down: true, ..failed(FailureKind::Unavailable, 20) };
    assert!(delay(pressing) >= s(3) && delay(pressing) <= s(4));
    assert!(delay(FailedRequest { endpoint_down: false, ..pressing }) > s(40));
}

#[test]
fn a_retry_comes_at_the_expiry_at_the_latest() {
    let near = FailedRequest { expires: Some(at(1010.0)), ..failed(FailureKind::Refused, 7) };
    assert_eq!(retry_at(near), at(1010.0));
    let passed = FailedRequest { expires: Some(at(990.0)), ..near };
    assert!(delay(passed) > s(40));
}

#[test]
fn the_issuers_own_wish_is_granted_beyond_every_other_delay() {
    let wish = FailedRequest {
        retry_after: Some(s(50)),
        expires: Some(at(1010.0)),
        urgent: true,
        endpoint_down: true,
        was_served: true,
        ..failed(FailureKind::Unavailable, 1)
    };
    assert_eq!((delay(wish), wish.is_cut_short()), (s(50), false));
}

/// The delay that a wish of an hour leads to while the token has so long to live, and whether that is less.
fn longest_wish(left: Option<f64>, before_expiry: bool) -> (Duration, bool) {
    let (expires, urgent) = (left.map(|left| at((1000.0 + left).max(0.0))), left.is_some_and(|left| left <= 60.0));
    let failed = FailedRequest {
        retry_after: Some(s(3600)),
        expires,
        urgent,
        before_expiry,
        ..failed(FailureKind::Unavailable, 1)
    };
    (delay(failed), failed.is_cut_short())
}

#[test]
fn a_wish_is_granted_for_a_minute_while_a_token_is_dead_or_due_and_for_five_otherwise() {
    for (left, granted) in [
        (None, 300.0),
        (Some(86_400.0), 300.0),
        (Some(301.0), 300.0),
        // What was granted while it lived ends with it.
        (Some(299.0), 299.0),
        (Some(61.0), 61.0),
        (Some(60.0), 60.0),
        (Some(20.0), 60.0),
        (Some(0.0), 60.0),
        (Some(-1000.0), 60.0),
    ] {
        assert_eq!(longest_wish(left, false), (Duration::from_secs_f64(granted), true), "{left:?}");
    }
    let first_issue = FailedRequest { urgent: true, retry_after: Some(s(900)), ..failed(FailureKind::Unavailable, 1) };
    assert_eq!(delay(first_issue), s(60));
}

#[test]
fn no_wish_costs_a_session_its_last_tries() {
    for (left, granted) in [(3600.0, 300.0), (200.0, 100.0), (60.0, 30.0), (2.0, 1.0), (0.5, 1.0)] {
        assert_eq!(longest_wish(Some(left), true).0, Duration::from_secs_f64(granted), "{left}");
    }
    assert_eq!(longest_wish(Some(-1.0), true).0, s(60));
}

#[test]
fn a_call_that_was_served_before_is_retried_as_in_an_outage_whatever_the_answer() {
    for kind in [FailureKind::Rejected, FailureKind::Refused, FailureKind::Unavailable] {
        let served = |count| FailedRequest { was_served: true, ..failed(kind, count) };
        assert!(delay(served(1)) < s(2), "{kind:?}");
        assert!(delay(served(20)) > s(40), "{kind:?}: nothing presses");
        let pressing = FailedRequest { urgent: true, ..served(20) };
        assert!(delay(pressing) <= s(4), "{kind:?}");
    }
}

#[test]
fn what_must_come_before_an_expiry_is_tried_several_times_in_what_is_left() {
    let before = |left: f64, count| {
        let expires = Some(at(1000.0 + left));
        delay(FailedRequest { expires, before_expiry: true, ..failed(FailureKind::Unavailable, count) })
    };
    assert_eq!(before(100.0, 9), s(25));
    assert_eq!(before(2.0, 9), s(1));
    assert!(before(1000.0, 1) < s(2), "a short delay stays short");
    assert!(before(-1.0, 9) > s(40), "past the end there is nothing left to divide");
}

#[test]
fn what_is_wrong_by_configuration_is_tried_every_five_minutes() {
    for kind in [FailureKind::Rejected, FailureKind::EndpointNotAllowed, FailureKind::LoginRefused] {
        assert_eq!(delay(failed(kind, 1)), s(300));
        assert_eq!(delay(FailedRequest { urgent: true, ..failed(kind, 1) }), s(300));
    }
    for kind in [FailureKind::EndpointNotAllowed, FailureKind::LoginRefused] {
        assert_eq!(delay(FailedRequest { was_served: true, ..failed(kind, 1) }), s(300));
    }
}

#[test]
fn a_bucket_allows_its_burst_and_then_one_per_refill() {
    for burst in [CALLS, REPAIRS] {
        let mut bucket = RateLimiter::new(burst, at(0.0));
        let mut taken = 0.0;
        while bucket.ready_at(at(1.0), s(60)) == at(1.0) && taken <= burst {
            bucket.take(at(1.0), s(60));
            taken += 1.0;
        }
        assert_eq!(taken, burst);
        let wait = bucket.ready_at(at(1.0), s(60)).until(at(1.0));
        assert!(wait > s(59) && wait <= s(60) + ms(2), "{wait:?}");
        bucket.take(at(61.1), s(60));
        assert!(bucket.ready_at(at(61.2), s(60)) > at(120.0), "one, and not another burst");
        bucket.give_back();
        assert_eq!(bucket.ready_at(at(61.3), s(60)), at(61.3));
    }
}

#[test]
fn a_call_is_refilled_by_a_tenth_of_the_last_new_tokens_life() {
    for (lifetime, expected) in [(Some(10), 1), (Some(100), 10), (Some(5), 1), (Some(86_400), 60), (None, 60)] {
        assert_eq!(refill(Some(&issued(lifetime))), s(expected));
    }
    assert_eq!(refill(None), s(60));
}

#[test]
fn no_check_is_made_or_planned_where_the_lead_is_half_of_the_life() {
    let half = RefreshPolicy { refresh_before: Some(s(300)), ..terms(600) };
    assert_eq!(due(&half, &issued(Some(600)), None, now(0)), Some((Cause::Boundary, at(600.0))));
    assert_eq!(half.planned_time(&issued(Some(600))), Some(now(600).wall));
    let less = RefreshPolicy { refresh_before: Some(s(299)), ..terms(600) };
    assert_eq!(due(&less, &issued(Some(600)), None, now(0)), Some((Cause::Check, at(301.0))));
    assert_eq!(less.planned_time(&issued(Some(600))), Some(now(301).wall));
}

#[test]
fn a_daily_check_is_made_and_planned_where_more_than_a_day_of_life_follows_it() {
    let policy = terms(0);
    let (_, first) = due(&policy, &issued(None), None, now(0)).unwrap();
    let slot = first.until(at(0.0)).as_secs();
    for (beyond, follows) in [(86_401, true), (86_400, false), (86_399, false)] {
        let token = TokenRecord { checked: true, asked_seconds: None, ..issued(Some(slot + beyond)) };
        let expected = if follows { (Cause::DailyCheck, slot) } else { (Cause::Boundary, slot + beyond) };
        let (cause, moment) = due(&policy, &token, None, now(0)).unwrap();
        assert_eq!((cause, moment), (expected.0, now(expected.1).mono), "{beyond}");
        assert_eq!(policy.planned_time(&token), Some(now(expected.1).wall), "{beyond}");
    }
}

#[test]
fn the_first_daily_check_comes_within_a_day_however_large_the_spread() {
    for spread in [0, 7_000, 86_400, u64::MAX] {
        let policy = RefreshPolicy { spread, ..terms(0) };
        let (cause, first) = due(&policy, &issued(None), None, now(0)).unwrap();
        assert_eq!(cause, Cause::DailyCheck);
        assert!(first > at(0.0) && first <= at(86_400.0), "{spread}: {first:?}");
    }
}

#[test]
fn a_bucket_is_full_until_a_permit_is_taken_and_again_once_that_is_refilled() {
    let mut bucket = RateLimiter::new(CALLS, at(0.0));
    assert!(bucket.is_full(at(0.0), s(60)));
    bucket.take(at(0.0), s(60));
    assert!(!bucket.is_full(at(59.0), s(60)));
    assert!(bucket.is_full(at(60.0), s(60)));
    assert!(bucket.is_full(at(6000.0), s(60)));
}

#[test]
fn a_boundary_that_has_lasted_a_minute_asks_once_a_minute() {
    let mut poll = ExpiryPoll::of("f".into());
    let mut next_after = |sent: Moment| {
        poll.token_unchanged(sent, Lifetime::Seconds(0));
        let record = TokenRecord { checked: true, ..issued(Some(600)) };
        terms(600).next_due(&record, &answered(&record, sent), Some(&poll), now(600)).unwrap().at
    };
    for _ in 0..12 {
        next_after(at(600.0));
    }
    assert_eq!(next_after(at(659.5)), at(664.5));
    assert_eq!(next_after(at(660.0)), at(720.0));
}

#[test]
fn a_boundary_is_exhausted_by_a_minute_of_the_same_token_or_by_20_calls_within_one() {
    let mut lasting = ExpiryPoll::of("f".into());
    lasting.request_sent(at(600.0));
    lasting.token_unchanged(at(600.0), Lifetime::Seconds(0));
    assert!(!lasting.is_exhausted(at(659.5)));
    assert!(lasting.is_exhausted(at(660.0)));
    let mut busy = ExpiryPoll::of("f".into());
    for _ in 0..20 {
        assert!(!busy.is_exhausted(at(600.0)));
        busy.request_sent(at(600.0));
    }
    assert!(busy.is_exhausted(at(659.5)));
    assert!(!busy.is_exhausted(at(660.0)));
}

/// A session's token, and its life.
fn session(lifetime: Option<u64>) -> (TokenRecord, TokenLifetime) {
    let refresh_token = Some(Redacted::new("refresh"));
    let record = TokenRecord { kind: Kind::Session, refresh_token, asked_seconds: None, ..issued(lifetime) };
    let token_lifetime = TokenLifetime::of(&record, "f", None, now(0));
    (record, token_lifetime)
}

#[test]
fn what_status_shows_of_a_session_is_its_extension() {
    for lifetime in [Some(600), Some(86_400), None] {
        let (record, token_lifetime) = session(lifetime);
        let planned = terms(600).planned_time(&record).unwrap();
        assert_eq!(
            now(0).moment_of(planned),
            terms(600).next_extension(&record, &token_lifetime, now(0)).at,
            "{lifetime:?}"
        );
        assert!(planned > now(0).wall && planned <= now(86_400).wall, "{lifetime:?}: {planned}");
    }
}

#[test]
fn an_extension_that_comes_late_leaves_a_quarter_of_the_lead_and_at_most_a_minute_while_nothing_is_recorded() {
    for (lifetime, last, unrecorded) in [(120, 10, 10), (12_000, 1000, 60)] {
        let (record, token_lifetime) = session(Some(lifetime));
        let end = now(lifetime).mono;
        // The jitter makes it up to a tenth more.
        let in_time = |at: Moment, left: u64| at <= end - s(left) && at > end - s(left).mul_f64(1.1);
        assert!(in_time(terms(600).last_extension(&record, &token_lifetime, now(0)).at, last), "{lifetime}");
        assert!(
            in_time(terms(600).unrecorded_extension(&record, &token_lifetime, now(0)).at, unrecorded),
            "{lifetime}"
        );
    }
}

#[test]
fn where_the_next_token_may_come_early_the_last_minute_has_several_attempts() {
    let early = |left| {
        let expires = Some(at(1000.0 + left));
        FailedRequest { expires, may_come_early: true, was_served: true, ..failed(FailureKind::Unavailable, 20) }
    };
    assert!(delay(early(200.0)) > s(40));
    for left in [64.0, 90.0, 110.0] {
        let delay = delay(early(left)).as_secs_f64();
        assert!(delay <= left - 60.0 + 4.0, "{left}: {delay}");
    }
    assert_eq!(delay(early(61.0)), s(5));
    let never_served = FailedRequest { was_served: false, ..early(200.0) };
    assert_eq!(delay(FailedRequest { kind: FailureKind::Rejected, ..never_served }), s(200), "a slow retry stays slow");
    assert!(delay(FailedRequest { may_come_early: false, ..early(64.0) }) > s(40));
}
