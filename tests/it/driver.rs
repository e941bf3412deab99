//! Somebody who writes without end, and keeps a journal of what was acknowledged.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::api::{Answer, Api, PATIENCE};

/// How many write at once.
const WRITERS: usize = 8;
/// How long a writer waits before it tries again what may or may not have happened.
const PAUSE: Duration = Duration::from_millis(20);

/// An opportunity that was acknowledged, and then moved, which was acknowledged too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Acknowledged {
    pub(crate) name: String,
    pub(crate) id: i64,
    pub(crate) amount: String,
    pub(crate) stage_key: &'static str,
}

/// The writers. They make opportunities for somebody else, and win every other one.
pub(crate) struct Driver {
    desk: Arc<Desk>,
    writers: Vec<JoinHandle<()>>,
}

/// What the writers have in common.
struct Desk {
    api: Api,
    owner_id: i64,
    journal: Mutex<Vec<Acknowledged>>,
    /// How often there was no answer, or one that left it open.
    unknown: AtomicUsize,
    is_done: AtomicBool,
}

impl Driver {
    pub(crate) fn start(api: &Api, owner_id: i64) -> Self {
        let desk = Arc::new(Desk {
            api: api.clone(),
            owner_id,
            journal: Mutex::default(),
            unknown: AtomicUsize::new(0),
            is_done: AtomicBool::new(false),
        });
        let writers = (0..WRITERS).map(|writer| {
            let desk = Arc::clone(&desk);
            tokio::spawn(async move { desk.write(writer).await })
        });
        Self { writers: writers.collect(), desk }
    }

    /// Waits until that many more are acknowledged.
    pub(crate) async fn writes(&self, more: usize) {
        let wanted = self.acknowledged() + more;
        let deadline = Instant::now() + PATIENCE;
        while self.acknowledged() < wanted {
            assert!(self.writers.iter().all(|writer| !writer.is_finished()), "a writer gave up");
            assert!(Instant::now() < deadline, "writes are not acknowledged any more");
            sleep(PAUSE).await;
        }
    }

    /// Waits until somebody did not learn what became of a write.
    pub(crate) async fn is_hit(&self) {
        let before = self.unknown();
        let deadline = Instant::now() + PATIENCE;
        while self.unknown() == before {
            assert!(Instant::now() < deadline, "nobody notices");
            sleep(PAUSE).await;
        }
    }

    /// How many writes were left open so far.
    pub(crate) fn unknown(&self) -> usize {
        self.desk.unknown.load(Ordering::Relaxed)
    }

    fn acknowledged(&self) -> usize {
        self.desk.journal.lock().unwrap().len()
    }

    /// Ends when every write that was begun is acknowledged; the journal by name.
    pub(crate) async fn stop(self) -> Vec<Acknowledged> {
        self.desk.is_done.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.unwrap();
        }
        let mut journal = self.desk.journal.lock().unwrap().clone();
        journal.sort();
        journal
    }
}

impl Desk {
    async fn write(&self, writer: usize) {
        for number in 0_usize.. {
            if self.is_done.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("{writer}-{number:05}");
            let amount = format!("{number}.{}{}", writer + 1, number % 9 + 1);
            let body = format!(
                r#"{{"opportunity_name":"{name}","customer_name":"Customer {writer}","owner_id":{},"amount":{amount}}}"#,
                self.owner_id
            );
            let key = [("idempotency-key", &*name)];
            let made = self.until_known(Method::POST, "/opportunities", &key, &body).await;
            if number % 4 == 0 {
                // Whoever is impatient sends it again, and has it once all the same.
                let again = self.until_known(Method::POST, "/opportunities", &key, &body).await;
                assert_eq!(again.text, made.text);
            }
            let id = made.body["id"].as_i64().unwrap();
            let stage_key = if number % 2 == 0 { "won" } else { "proposal" };
            let path = format!("/opportunities/{id}/stage");
            let step = json!({"stage": stage_key}).to_string();
            let moved = self.until_known(Method::PATCH, &path, &[], &step).await;
            assert_eq!(moved.body["stage_key"], stage_key, "{}", moved.text);
            let acknowledged = Acknowledged { name, id, amount, stage_key };
            self.journal.lock().unwrap().push(acknowledged);
        }
    }

    /// Sends a write until there is an answer that says what became of it: that has to be a success.
    async fn until_known(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let deadline = Instant::now() + PATIENCE * 2;
        loop {
            let answer = self.api.try_send(method.clone(), path, headers, body).await;
            match &answer {
                Ok(known) if [200, 201].contains(&known.status) => return answer.unwrap(),
                Ok(open) => {
                    let (status, code) = open.problem();
                    let is_open = matches!(
                        (status, code),
                        (503, "unavailable" | "outcome_unknown") | (409, "idempotency_key_in_use")
                    );
                    assert!(is_open, "{method} {path} {body}: {}", open.text);
                    assert_ne!(open.header("retry-after"), "", "{}", open.text);
                }
                Err(_no_answer) => {}
            }
            assert!(Instant::now() < deadline, "{method} {path} {body}: still {answer:?}");
            self.unknown.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
    }
}
