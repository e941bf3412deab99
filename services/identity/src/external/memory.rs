//! What the provider said of itself, and when it is asked again. Rules without a network.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::model::Refused;

/// How long what the provider says of itself is believed.
const FRESH: Duration = Duration::from_hours(1);
/// How long it is believed where the provider cannot be asked.
const KEPT: Duration = Duration::from_hours(24);
/// How long nobody asks again who was not answered, or found no new keys.
const PAUSE: Duration = Duration::from_secs(30);
/// The same where nothing is known yet: shorter, for until then nobody signs in.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// What is remembered of a provider that says `T` of itself.
#[derive(Debug)]
pub(super) struct Memory<T> {
    itself: Option<Itself<T>>,
    /// Why nothing is known, and until when nobody asks again.
    failed: Option<(Refused, Instant)>,
    /// When it was last asked for a key that it had not named.
    renewed_at: Option<Instant>,
}

/// What it said.
#[derive(Debug)]
struct Itself<T> {
    said: Arc<T>,
    asked_at: Instant,
    /// Nobody asks again before.
    next_at: Instant,
}

/// What to do about a key that is not among those that were known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Renewal<T> {
    /// Somebody else has asked in the meantime: look at this.
    Done(Arc<T>),
    /// Ask.
    Due,
    /// Nothing: somebody asked just now.
    TooSoon,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self { itself: None, failed: None, renewed_at: None }
    }
}

impl<T> Memory<T> {
    /// What holds at that time without asking; nothing where the provider is to be asked.
    pub(super) fn recall(&self, now: Instant) -> Option<Result<Arc<T>, Refused>> {
        if let Some(known) = self.itself.as_ref().filter(|known| now < known.next_at) {
            return Some(Ok(Arc::clone(&known.said)));
        }
        self.failed.filter(|(_, until)| now < *until).map(|(refused, _)| Err(refused))
    }

    /// It answered.
    pub(super) fn learn(&mut self, said: T, now: Instant) -> Arc<T> {
        let said = Arc::new(said);
        self.itself = Some(Itself { said: Arc::clone(&said), asked_at: now, next_at: now + FRESH });
        self.failed = None;
        said
    }

    /// It did not answer as it should: what it said some time ago, if it did.
    pub(super) fn fail(&mut self, refused: Refused, now: Instant) -> Result<Arc<T>, Refused> {
        let known = self.itself.as_mut().filter(|known| now < known.asked_at + KEPT);
        let Some(known) = known else {
            self.failed = Some((refused, now + FIRST_PAUSE));
            return Err(refused);
        };
        known.next_at = now + PAUSE;
        Ok(Arc::clone(&known.said))
    }

    /// For a key that is not among those of `old`. Who is told to ask is taken to do so.
    pub(super) fn renew(&mut self, old: &Arc<T>, now: Instant) -> Renewal<T> {
        if let Some(known) = self.itself.as_ref().filter(|known| !Arc::ptr_eq(&known.said, old)) {
            return Renewal::Done(Arc::clone(&known.said));
        }
        if self.renewed_at.is_some_and(|at| now < at + PAUSE) {
            return Renewal::TooSoon;
        }
        self.renewed_at = Some(now);
        Renewal::Due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_is_down_is_asked_now_and_then_and_not_by_everybody() {
        let mut memory = Memory::<&str>::default();
        let begun = Instant::now();
        assert_eq!(memory.recall(begun), None);
        assert_eq!(memory.fail(Refused::Unavailable, begun), Err(Refused::Unavailable));
        let shortly = begun + FIRST_PAUSE - Duration::from_millis(1);
        assert_eq!(memory.recall(shortly), Some(Err(Refused::Unavailable)));
        let later = begun + FIRST_PAUSE;
        assert_eq!(memory.recall(later), None);
        memory.learn("it", later);
        assert_eq!(memory.recall(later), Some(Ok(Arc::new("it"))));
    }

    #[test]
    fn what_it_said_is_believed_for_an_hour_and_for_a_day_while_it_is_down() {
        let mut memory = Memory::default();
        let begun = Instant::now();
        memory.learn("it", begun);
        assert!(memory.recall(begun + FRESH - Duration::from_millis(1)).is_some());
        let stale = begun + FRESH;
        assert_eq!(memory.recall(stale), None);
        assert_eq!(memory.fail(Refused::Unavailable, stale), Ok(Arc::new("it")));
        assert_eq!(memory.recall(stale), Some(Ok(Arc::new("it"))));
        assert_eq!(memory.recall(stale + PAUSE), None);
        let old = begun + KEPT;
        assert_eq!(memory.fail(Refused::Failed, old), Err(Refused::Failed));
        assert_eq!(memory.recall(old), Some(Err(Refused::Failed)));
    }

    #[test]
    fn for_a_new_key_one_asks_and_the_others_look_at_what_they_were_told() {
        let mut memory = Memory::default();
        let begun = Instant::now();
        let old = memory.learn("old", begun);
        assert_eq!(memory.renew(&old, begun), Renewal::Due);
        assert_eq!(memory.renew(&old, begun), Renewal::TooSoon);
        let new = memory.learn("new", begun);
        assert_eq!(memory.renew(&old, begun), Renewal::Done(Arc::clone(&new)));
        assert_eq!(memory.renew(&new, begun), Renewal::TooSoon);
        assert_eq!(memory.renew(&new, begun + PAUSE), Renewal::Due);
    }
}
