//! How much a caller may ask: each has a budget of requests, which fills up again evenly.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use auth::Caller;
use http::{HeaderMap, HeaderName, HeaderValue};

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How long a budget that is used up takes to be full, where the rate allows it.
const WINDOW: Duration = Duration::from_secs(2);
/// Locks that are taken apart from each other.
const SHARDS: usize = 16;
/// Budgets that a shard holds: 56,000 in all of callers and as many of addresses, about two megabytes each.
const PER_SHARD: usize = 3_500;

/// How fast budgets fill up, and how large they are: twice what comes in a second, rounded, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Between one request and the next, in the long run.
    interval: Duration,
    burst: u32,
}

impl Rate {
    /// Requests a second, which may be a fraction; `None` for `off`, 0 and nothing.
    pub fn parse(text: &str) -> Result<Option<Self>, &'static str> {
        if matches!(text.trim(), "" | "off") {
            return Ok(None);
        }
        let rate: f64 = text.trim().parse().map_err(|_| "must be a number, or `off`")?;
        if rate == 0.0 {
            return Ok(None);
        }
        if !(0.001..=1_000_000.0).contains(&rate) {
            return Err("must be 0.001 to 1000000 requests a second, or `off`");
        }
        let interval = Duration::from_secs_f64(1.0 / rate);
        let burst = (WINDOW + interval / 2).as_nanos() / interval.as_nanos();
        Ok(Some(Self { interval, burst: u32::try_from(burst).unwrap_or(u32::MAX).max(1) }))
    }

    fn capacity(self) -> Duration {
        self.interval * self.burst
    }

    /// One request at `now`, of a budget that will be full at `full_at`, both counted from the same moment: how the budget stands then
    /// and when it will be full, or how it stands because there is nothing left.
    fn spend(self, full_at: Duration, now: Duration) -> Result<(Standing, Duration), Standing> {
        let owed = full_at.saturating_sub(now) + self.interval;
        match self.capacity().checked_sub(owed) {
            Some(left) => {
                let remaining = left.as_nanos() / self.interval.as_nanos();
                let remaining = u32::try_from(remaining).unwrap_or(self.burst);
                Ok((Standing { remaining, after: owed }, now + owed))
            }
            None => Err(Standing { remaining: 0, after: owed.saturating_sub(self.capacity()) }),
        }
    }
}

/// How a budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Requests that may be made at once.
    remaining: u32,
    /// Until the budget is full; where there is nothing left, until one more may be made.
    after: Duration,
}

impl Standing {
    /// Whole seconds, so that whoever waits for them has not waited in vain.
    pub fn after(&self) -> Duration {
        let begun = u64::from(self.after.subsec_nanos() > 0);
        Duration::from_secs((self.after.as_secs() + begun).max(1))
    }
}

/// Whose budget a request is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payer {
    /// A person, with whatever token.
    User(i64),
    /// One of our services.
    Service(Box<str>),
    /// Whoever has this address.
    V4([u8; 4]),
    /// Whoever has an address of this network of 64 bits, within which anybody can take any.
    V6([u16; 4]),
}

impl Payer {
    /// Of somebody who is known.
    pub fn caller(caller: &Caller) -> Self {
        match (&caller.service, caller.user()) {
            (None, Some(user_id)) => Self::User(user_id),
            (service, _) => Self::Service(service.as_deref().unwrap_or_default().into()),
        }
    }

    /// Of somebody of whom no more than the address is known.
    pub fn address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// The budgets of this process, kept in bounded memory.
///
/// Kept by hand because there has to be a bound on how many there are: when a shard is full, it forgets the quarter that has spent least.
/// Addresses are kept apart, so that a flood of them makes nobody forgotten who is signed in.
#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    begun: Instant,
    policy: HeaderValue,
    callers: Budgets,
    addresses: Budgets,
}

impl Limiter {
    /// With full budgets for all. `begun` is before any other time that it is told.
    pub fn new(rate: Rate, begun: Instant) -> Self {
        // To the millisecond: thirds of a second do not add up to a whole one.
        let window = (rate.capacity() + Duration::from_micros(500)).as_millis().div_ceil(1000);
        let policy = format!("\"default\";q={};w={window}", rate.burst);
        Self {
            rate,
            begun,
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("")),
            callers: Budgets::default(),
            addresses: Budgets::default(),
        }
    }

    /// Takes one request from a budget; as an error, how it stands where nothing is left. What is refused costs nothing.
    pub fn take(&self, payer: Payer, now: Instant) -> Result<Standing, Standing> {
        let now = now.saturating_duration_since(self.begun);
        let mut shard = self.budgets(&payer).shard(&payer);
        let full_at = shard.get(&payer).copied().unwrap_or_default();
        let (standing, full_at) = self.rate.spend(full_at, now)?;
        if shard.len() >= PER_SHARD && !shard.contains_key(&payer) {
            forget_a_quarter(&mut shard);
        }
        shard.insert(payer, full_at);
        Ok(standing)
    }

    /// Whether there is a request to be taken; as an error, how the budget stands where there is none.
    pub fn look(&self, payer: &Payer, now: Instant) -> Result<(), Standing> {
        let now = now.saturating_duration_since(self.begun);
        let full_at = self.budgets(payer).shard(payer).get(payer).copied().unwrap_or_default();
        self.rate.spend(full_at, now).map(drop)
    }

    fn budgets(&self, payer: &Payer) -> &Budgets {
        match payer {
            Payer::User(_) | Payer::Service(_) => &self.callers,
            Payer::V4(_) | Payer::V6(_) => &self.addresses,
        }
    }

    /// Says in an answer what the policy is and how the caller stands (draft-ietf-httpapi-ratelimit-headers-11).
    pub fn tell(&self, standing: Standing, headers: &mut HeaderMap) {
        let Standing { remaining, .. } = standing;
        let told = format!("\"default\";r={remaining};t={}", standing.after().as_secs());
        headers.insert(RATELIMIT_POLICY, self.policy.clone());
        if let Ok(told) = HeaderValue::try_from(told) {
            headers.insert(RATELIMIT, told);
        }
    }
}

/// When each budget will be full, counted from the limiter's beginning. Who is not there has a full one.
#[derive(Debug, Default)]
struct Budgets {
    shards: [Mutex<Shard>; SHARDS],
    state: RandomState,
}

type Shard = HashMap<Payer, Duration>;

impl Budgets {
    fn shard(&self, payer: &Payer) -> std::sync::MutexGuard<'_, Shard> {
        let [first, ..] = self.state.hash_one(payer).to_ne_bytes();
        let shard = &self.shards[usize::from(first) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_a_quarter(shard: &mut Shard) {
    let mut all: Vec<_> = shard.values().copied().collect();
    let quarter = all.len() / 4;
    let (_, bound, _) = all.select_nth_unstable(quarter);
    shard.retain(|_, full_at| *full_at > *bound);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap().unwrap()
    }

    fn limiter(text: &str) -> (Limiter, Instant) {
        let begun = Instant::now();
        (Limiter::new(rate(text), begun), begun)
    }

    fn headers(limiter: &Limiter, standing: Standing) -> (String, String) {
        let mut headers = HeaderMap::new();
        limiter.tell(standing, &mut headers);
        let text = |name: HeaderName| headers[name].to_str().unwrap().to_owned();
        (text(RATELIMIT_POLICY), text(RATELIMIT))
    }

    const SOMEBODY: Payer = Payer::User(1);

    #[test]
    fn a_rate_is_a_number_or_off() {
        for off in ["", " ", "off", "0", "0.0"] {
            assert_eq!(Rate::parse(off), Ok(None), "{off}");
        }
        for bad in ["on", "-1", "NaN", "inf", "1e9", "0.0001", "100/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
        for (text, policy) in [
            ("100", "\"default\";q=200;w=2"),
            ("7", "\"default\";q=14;w=2"),
            ("1000000", "\"default\";q=2000000;w=2"),
            ("1.3", "\"default\";q=3;w=3"),
            ("0.5", "\"default\";q=1;w=2"),
            ("0.001", "\"default\";q=1;w=1000"),
        ] {
            assert_eq!(limiter(text).0.policy, policy, "{text}");
        }
    }

    #[test]
    fn who_has_used_up_their_budget_is_told_when_to_come_back_and_is_served_then() {
        let (limiter, begun) = limiter("0.5");
        assert!(limiter.take(SOMEBODY, begun).is_ok());
        let later = begun + Duration::from_millis(300);
        let refused = limiter.take(SOMEBODY, later).unwrap_err();
        assert_eq!(refused, limiter.look(&SOMEBODY, later).unwrap_err());
        assert_eq!(refused.after(), Duration::from_secs(2));
        assert_eq!(headers(&limiter, refused).1, "\"default\";r=0;t=2");
        assert!(limiter.take(SOMEBODY, later + refused.after()).is_ok());
    }

    #[test]
    fn what_is_left_and_when_it_is_full_again_is_told() {
        let (limiter, begun) = limiter("100");
        let mut standing = None;
        for _ in 0..50 {
            standing = Some(limiter.take(SOMEBODY, begun).unwrap());
        }
        let told = headers(&limiter, standing.unwrap());
        let expected = ("\"default\";q=200;w=2", "\"default\";r=150;t=1");
        assert_eq!((&*told.0, &*told.1), expected);
        let standing = limiter.take(SOMEBODY, begun + Duration::from_secs(9)).unwrap();
        assert_eq!(headers(&limiter, standing).1, "\"default\";r=199;t=1");
    }

    #[test]
    fn a_budget_is_its_owners_alone() {
        let (limiter, now) = limiter("0.5");
        let user = |user_id, session_id| {
            let caller =
                Caller { user_id, session_id, role: auth::Role::Rep, ..Caller::service("") };
            Payer::caller(&Caller { service: None, ..caller })
        };
        let address = |text: &str| Payer::address(text.parse().unwrap());
        let all = [
            user(1, 1),
            user(2, 1),
            Payer::caller(&Caller::service("analytics")),
            Payer::caller(&Caller::service("notifier")),
            address("203.0.113.5"),
            address("203.0.113.6"),
            address("2001:db8:0:1::1"),
            address("2001:db8:0:2::1"),
        ];
        for payer in all {
            assert!(limiter.take(payer.clone(), now).is_ok(), "{payer:?}");
        }
        // Sessions of one person share it, and so do addresses that one machine can have.
        for payer in [user(1, 2), address("2001:db8:0:1:ffff::2"), address("203.0.113.5")] {
            assert!(limiter.take(payer.clone(), now).is_err(), "{payer:?}");
        }
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory_and_forgets_nobody_who_has_used_up_theirs() {
        let (limiter, begun) = limiter("2");
        let guilty = Payer::address([192, 0, 2, 1].into());
        for payer in [&SOMEBODY, &guilty] {
            while limiter.take(payer.clone(), begun).is_ok() {}
        }
        for number in 0..200_000_u32 {
            let [a, b, c, d] = number.to_be_bytes();
            let taken = limiter.take(Payer::V4([a + 10, b, c, d]), begun);
            assert!(taken.is_ok());
        }
        let held = limiter.addresses.shards.iter().map(|shard| shard.lock().unwrap().len());
        assert!(held.sum::<usize>() <= SHARDS * PER_SHARD);
        assert!(limiter.look(&SOMEBODY, begun).is_err());
        assert!(limiter.look(&guilty, begun).is_err());
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_the_burst_and_the_rate(
            per_second in 0.01..50.0_f64,
            pauses_ms in proptest::collection::vec(0..500_u64, 1..60),
        ) {
            let rate = rate(&per_second.to_string());
            let (mut now, mut full_at, mut served) = (Duration::ZERO, Duration::ZERO, 0_u32);
            for pause_ms in pauses_ms {
                now += Duration::from_millis(pause_ms);
                match rate.spend(full_at, now) {
                    Ok((standing, later)) => {
                        (full_at, served) = (later, served + 1);
                        prop_assert!(standing.remaining < rate.burst);
                        // As many as are said to be left may be made at once, and not one more.
                        let mut at = full_at;
                        for _ in 0..standing.remaining {
                            at = rate.spend(at, now).unwrap().1;
                        }
                        prop_assert!(rate.spend(at, now).is_err());
                    }
                    Err(standing) => {
                        prop_assert!(rate.spend(full_at, now + standing.after).is_ok());
                        let before = standing.after.saturating_sub(Duration::from_nanos(1));
                        prop_assert!(rate.spend(full_at, now + before).is_err());
                    }
                }
            }
            let most = f64::from(rate.burst) + now.as_secs_f64() * per_second;
            prop_assert!(f64::from(served) <= most + 1.0, "{served} > {most}");
        }
    }
}
