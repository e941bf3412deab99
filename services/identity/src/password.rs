//! Passwords: how long they are, how they are hashed, and how many at once.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::phc::PasswordHash,
};
use process::Secret;
use rpc::{Error, Invalid};
use tokio::sync::{Semaphore, oneshot};

/// The fewest characters.
const SHORTEST: usize = 8;
/// The most characters.
const LONGEST: usize = 128;
/// How many may wait for their turn.
const QUEUE: usize = 64;
/// When one who was turned away may try again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Randomness for one hash.
pub type Salt = [u8; 16];

/// A hash that no password has, of the cost of a real one, so that an unknown account takes as long as a known one.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlz$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another password, or nobody's.
    Wrong,
    /// The password, hashed as it would be today.
    Right,
    /// The password, hashed with less work than today: hash it anew.
    Outdated,
}

/// Bounds how many passwords are hashed at once: one, so that sign-ins never take more than a core, with a queue before it. Each takes 19 MiB and
/// tens of milliseconds, on a thread that stands back where others need its core. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    work: mpsc::Sender<Work>,
    places: Arc<Semaphore>,
}

type Work = Box<dyn FnOnce() + Send>;

/// How far it stands back: it has a tenth of what others have of a core that all of them want.
const NICE: i32 = 10;

impl Default for Gate {
    fn default() -> Self {
        let (work, queue) = mpsc::channel::<Work>();
        let hash = move || {
            // Of this thread alone. Where it may not, it works as others do.
            let _ = rustix::process::setpriority_process(None, NICE);
            for work in queue {
                // What panics answers nobody and takes nothing else with it.
                let _ = catch_unwind(AssertUnwindSafe(work));
            }
        };
        // Without a thread nothing is taken from the queue, and whoever comes is told that it failed.
        let _ = thread::Builder::new().name("passwords".to_owned()).spawn(hash);
        Self { work, places: Arc::new(Semaphore::new(1 + QUEUE)) }
    }
}

impl Gate {
    /// Runs the work off the async threads when its turn comes; exhausted (`SIGN_IN_BUSY`) where the queue is full.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err(Error::exhausted("SIGN_IN_BUSY", "too many passwords are being checked")
                .retry_after(TRY_AGAIN_AFTER));
        };
        let (answer, answered) = oneshot::channel();
        let sent = self.work.send(Box::new(move || {
            let done = work();
            // Kept by the work itself: a caller who hangs up does not make room before it is done.
            drop(place);
            // Nobody may wait any more.
            let _ = answer.send(done);
        }));
        sent.map_err(|_| Error::internal("there is no thread for passwords"))?;
        Ok(answered.await.map_err(anyhow::Error::new)?)
    }
}

/// The rules for a new password: 8 to 128 characters of any kind.
pub fn check(invalid: &mut Invalid, field: &str, password: &Secret) {
    match password.expose().chars().count() {
        0 => invalid.add(field, "required", "is missing"),
        1..SHORTEST => {
            invalid.add(field, "too_short", format!("is shorter than {SHORTEST} characters"));
        }
        SHORTEST..=LONGEST => {}
        _ => invalid.add(field, "too_long", format!("is longer than {LONGEST} characters")),
    }
}

/// The password's hash as a PHC string.
pub async fn hash(gate: &Gate, password: Secret, salt: Salt) -> Result<String, Error> {
    let hashed = gate
        .run(move || hasher()?.hash_password_with_salt(password.expose().as_bytes(), &salt))
        .await?;
    Ok(hashed.map_err(|error| anyhow::anyhow!("hash a password: {error}"))?.to_string())
}

/// Whether the password is the one of that hash. Takes as long where there is none.
pub async fn verify(
    gate: &Gate,
    password: Secret,
    hashed: Option<String>,
) -> Result<Verdict, Error> {
    gate.run(move || compare(password.expose(), hashed.as_deref().unwrap_or(NOBODYS))).await
}

fn compare(password: &str, hashed: &str) -> Verdict {
    let Ok(parsed) = PasswordHash::new(hashed) else { return Verdict::Wrong };
    let right = hasher().and_then(|argon2| argon2.verify_password(password.as_bytes(), &parsed));
    match right {
        Err(_) => Verdict::Wrong,
        Ok(()) if Params::try_from(&parsed).is_ok_and(|params| strong(&params)) => Verdict::Right,
        Ok(()) => Verdict::Outdated,
    }
}

/// What OWASP asks for at least, measured at 30 ms.
fn hasher() -> argon2::password_hash::Result<Argon2<'static>> {
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19_456, 2, 1, None)?))
}

fn strong(params: &Params) -> bool {
    params.m_cost() >= 19_456 && params.t_cost() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_for_its_own_hash_alone() {
        let gate = Gate::default();
        let hashed = hash(&gate, Secret::from("correct horse"), [7; 16]).await.unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let verdict = |text: &str, hashed| verify(&gate, Secret::from(text), hashed);
        assert_eq!(verdict("correct horse", Some(hashed.clone())).await.unwrap(), Verdict::Right);
        assert_eq!(verdict("Correct horse", Some(hashed)).await.unwrap(), Verdict::Wrong);
        assert_eq!(verdict("correct horse", None).await.unwrap(), Verdict::Wrong);
    }

    #[test]
    fn nobodys_hash_costs_what_a_real_one_does() {
        let nobodys = PasswordHash::new(NOBODYS).unwrap();
        let params = Params::try_from(&nobodys).unwrap();
        let real = hasher().unwrap();
        assert_eq!(
            (params.m_cost(), params.t_cost(), params.p_cost()),
            (real.params().m_cost(), real.params().t_cost(), real.params().p_cost())
        );
        assert_eq!((nobodys.hash.unwrap().len(), nobodys.salt.unwrap().len()), (32, 15));
    }

    #[test]
    fn a_hash_of_less_work_is_outdated() {
        let weak = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(8_192, 1, 1, None).unwrap(),
        );
        let hashed = weak.hash_password_with_salt(b"correct horse", &[7; 16]).unwrap().to_string();
        assert_eq!(compare("correct horse", &hashed), Verdict::Outdated);
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_turned_away_and_told_when_to_come_back() {
        let gate = Gate::default();
        let _taken = gate.places.acquire_many(65).await.unwrap();
        let refused = hash(&gate, Secret::from("correct horse"), [7; 16]).await.unwrap_err();
        assert_eq!(refused.reason(), "SIGN_IN_BUSY");
    }
}
