//! Events that could not be applied, as administrators look at them and have them applied again: over gRPC, and by the command `dead-letters`.

use std::sync::Arc;
use std::time::Duration;

use auth::Role;
use chrono::{DateTime, Utc};
use process::{DeadLettersCommand, DeadLettersSettings, postgres};
use proto::dead_letter::v1 as pb;
use proto::dead_letter::v1::dead_letter_service_server::DeadLetterService;
use rpc::{Error, Invalid};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::Event;
use crate::consumer::{self, Applying};
use crate::inbox::{self, DeadLetter};

/// Dead letters of a page where the caller does not say.
const USUAL: i32 = 50;
/// Dead letters of a page at most.
const MOST: i32 = 200;
/// How many are applied again by one call.
const AT_ONCE: i64 = 100;
/// How long a call goes on with the next one.
const WITHIN: Duration = Duration::from_secs(5);
/// How many the command reads at a time.
const PIECE: i64 = 500;

/// The consumers of a service, each with the source that it consumes, which no other one does.
pub type Consumers = &'static [(&'static str, &'static str)];

/// Serves what a service has put aside.
pub struct DeadLetters<A> {
    reads: PgPool,
    writes: PgPool,
    consumers: Consumers,
    apply: Arc<A>,
}

impl<A> DeadLetters<A>
where
    A: for<'a> Fn(&'a mut PgConnection, &'static str, &'a [Event]) -> Applying<'a>
        + Send
        + Sync
        + 'static,
{
    /// Of these consumers, whose events are applied so, by source.
    pub fn new(reads: PgPool, writes: PgPool, consumers: Consumers, apply: A) -> Self {
        Self { reads, writes, consumers, apply: Arc::new(apply) }
    }
}

#[tonic::async_trait]
impl<A> DeadLetterService for DeadLetters<A>
where
    A: for<'a> Fn(&'a mut PgConnection, &'static str, &'a [Event]) -> Applying<'a>
        + Send
        + Sync
        + 'static,
{
    async fn list_dead_letters(
        &self,
        request: Request<pb::ListDeadLettersRequest>,
    ) -> Result<Response<pb::ListDeadLettersResponse>, Status> {
        let caller = auth::caller(&request)?;
        caller.require_read()?;
        caller.require_role(&[Role::Admin])?;
        let pb::ListDeadLettersRequest { limit, cursor } = request.into_inner();
        let limit = limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            let mut invalid = Invalid::default();
            invalid.add("limit", "out_of_range", format!("is not from 1 to {MOST}"));
            invalid.into_result()?;
        }
        let after = cursor.as_deref().map_or(Ok(0), place)?;
        let limit = usize::try_from(limit).unwrap_or_default();
        let mut connection = self.reads.acquire().await.map_err(Error::from)?;
        let mut found = list(&mut connection, self.consumers, after, limit + 1).await?;
        let is_more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| is_more);
        Ok(Response::new(pb::ListDeadLettersResponse {
            next_cursor: last.map(|it| it.dead_letter_id.to_string()),
            items: found.iter().map(to_wire).collect(),
        }))
    }

    async fn get_dead_letter(
        &self,
        request: Request<pb::GetDeadLetterRequest>,
    ) -> Result<Response<pb::GetDeadLetterResponse>, Status> {
        let caller = auth::caller(&request)?;
        caller.require_read()?;
        caller.require_role(&[Role::Admin])?;
        let id = request.into_inner().id;
        let mut connection = self.reads.acquire().await.map_err(Error::from)?;
        let it = one(&mut connection, self.consumers, id).await?;
        let content = it.event.as_ref().ok().map(|event| format!("{event:#?}"));
        let dead_letter = Some(pb::DeadLetter { content, ..to_wire(&it) });
        Ok(Response::new(pb::GetDeadLetterResponse { dead_letter }))
    }

    async fn replay_dead_letters(
        &self,
        request: Request<pb::ReplayDeadLettersRequest>,
    ) -> Result<Response<pb::ReplayDeadLettersResponse>, Status> {
        auth::caller(&request)?.require_admin()?;
        let id = request.into_inner().id;
        let (pool, consumers, apply) =
            (self.writes.clone(), self.consumers, Arc::clone(&self.apply));
        let done = rpc::write(async move {
            let connection = &mut *pool.acquire().await?;
            let until = Instant::now() + WITHIN;
            let letters = match id {
                Some(id) => vec![one(connection, consumers, id).await?],
                None => inbox::longest_ago(connection, &names(consumers), AT_ONCE).await?,
            };
            let mut done = Replayed::default();
            for it in letters {
                if Instant::now() >= until {
                    break;
                }
                done.apply(connection, consumers, &it, &*apply, process::now()).await?;
            }
            let remaining = inbox::count(connection, &names(consumers)).await?;
            Ok::<_, Error>((done, remaining))
        });
        let (done, remaining) = done.await?;
        let left = done.left.into_iter().map(|(id, error)| pb::DeadLetterFailure { id, error });
        Ok(Response::new(pb::ReplayDeadLettersResponse {
            applied: done.applied,
            left: left.collect(),
            remaining,
        }))
    }
}

fn place(cursor: &str) -> Result<i64, Error> {
    let is_plain = cursor.bytes().all(|byte| byte.is_ascii_digit());
    let place = cursor.parse().ok().filter(|_| is_plain);
    place.ok_or_else(|| Error::Malformed {
        reason: "CURSOR_INVALID".into(),
        message: "the cursor is not one of this list".to_owned(),
    })
}

fn to_wire(it: &DeadLetter) -> pb::DeadLetter {
    let event = it.event.as_ref().ok();
    pb::DeadLetter {
        id: it.dead_letter_id,
        consumer: it.consumer.clone(),
        source: it.source.clone(),
        position: it.position,
        attempts: it.attempts,
        failed_at: Some(it.failed_at.into()),
        error: it.error.clone(),
        event_id: event.map(|it| it.event_id.clone()),
        r#type: event.map(|it| it.r#type.clone()),
        record_type: event.map(|it| it.aggregate.clone()),
        record_id: event.map(|it| it.aggregate_id),
        version: event.map(|it| it.version),
        content: None,
    }
}

fn names(consumers: Consumers) -> Vec<&'static str> {
    consumers.iter().map(|(name, _)| *name).collect()
}

async fn list(
    connection: &mut PgConnection,
    consumers: Consumers,
    after: i64,
    limit: usize,
) -> Result<Vec<DeadLetter>, Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(inbox::dead_letters(connection, &names(consumers), after, limit).await?)
}

async fn one(
    connection: &mut PgConnection,
    consumers: Consumers,
    id: i64,
) -> Result<DeadLetter, Error> {
    let found = list(connection, consumers, id.saturating_sub(1), 1).await?;
    let found = found.into_iter().find(|it| it.dead_letter_id == id);
    found.ok_or_else(|| Error::not_found("dead letter", id))
}

/// What came of applying again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How many are applied now.
    pub applied: i64,
    /// Why others are not, by id.
    pub left: Vec<(i64, String)>,
}

impl Replayed {
    /// Applies one again, beside whoever applies. Applying may be repeated, and comes in any order.
    async fn apply<A>(
        &mut self,
        connection: &mut PgConnection,
        consumers: Consumers,
        it: &DeadLetter,
        apply: &A,
        now: DateTime<Utc>,
    ) -> Result<(), Error>
    where
        A: for<'a> Fn(&'a mut PgConnection, &'static str, &'a [Event]) -> Applying<'a>
            + Send
            + Sync,
    {
        let known = consumers.iter().find(|known| **known == (&*it.consumer, &*it.source));
        let applied = match known.map(|(_, source)| *source) {
            Some(source) => {
                let apply = by(source, apply);
                consumer::replay(connection, it, &apply, now).await?
            }
            None => Err(format!("nothing is applied of {}", it.source)),
        };
        match applied {
            Ok(()) => self.applied += 1,
            Err(error) => self.left.push((it.dead_letter_id, error)),
        }
        Ok(())
    }
}

/// How events of a source are applied.
fn by<A>(
    source: &'static str,
    apply: &A,
) -> impl for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> Applying<'a> + Send + Sync
where
    A: for<'a> Fn(&'a mut PgConnection, &'static str, &'a [Event]) -> Applying<'a> + Send + Sync,
{
    move |tx, events| apply(tx, source, events)
}

/// Applies one event again, or all.
pub async fn replay<A>(
    connection: &mut PgConnection,
    consumers: Consumers,
    id: Option<i64>,
    apply: &A,
    now: DateTime<Utc>,
) -> Result<Replayed, Error>
where
    A: for<'a> Fn(&'a mut PgConnection, &'static str, &'a [Event]) -> Applying<'a> + Send + Sync,
{
    let mut letters = Vec::new();
    match id {
        Some(id) => letters.push(one(connection, consumers, id).await?),
        None => each(connection, consumers, |it| letters.push(it)).await?,
    }
    let mut done = Replayed::default();
    for it in &letters {
        done.apply(connection, consumers, it, apply, now).await?;
    }
    Ok(done)
}

async fn each(
    connection: &mut PgConnection,
    consumers: Consumers,
    mut tell: impl FnMut(DeadLetter),
) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let piece = inbox::dead_letters(connection, &names(consumers), after, PIECE).await?;
        let Some(last) = piece.last() else { return Ok(()) };
        after = last.dead_letter_id;
        piece.into_iter().for_each(&mut tell);
    }
}

/// The command: lists them, shows one, or applies them again; fails where any stays aside that was to be applied.
pub async fn run<A>(
    settings: &DeadLettersSettings,
    consumers: Consumers,
    apply: &A,
) -> anyhow::Result<()>
where
    A: for<'a> Fn(&'a mut PgConnection, &'static str, &'a [Event]) -> Applying<'a> + Send + Sync,
{
    let connection = &mut postgres::connect(&settings.database.url, "dead-letters").await?;
    match settings.what {
        DeadLettersCommand::List => each(connection, consumers, |it| print(&line(&it))).await?,
        DeadLettersCommand::Show { id } => {
            let it = one(connection, consumers, id).await?;
            print(&line(&it));
            print(&it.event.map_or_else(|error| error.to_string(), |event| format!("{event:#?}")));
        }
        DeadLettersCommand::Replay { id } => {
            let it = replay(connection, consumers, id, apply, process::now()).await?;
            let (applied, left) = (it.applied, it.left.len());
            print(&json!({ "applied": applied, "left": left, "errors": it.left }).to_string());
            anyhow::ensure!(left == 0, "{left} events stay aside");
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn print(line: &str) {
    println!("{line}");
}

/// What is to be known of one, as a line of JSON; without the record, in which there may be anything.
fn line(it: &DeadLetter) -> String {
    let event = it.event.as_ref().ok();
    json!({
        "id": it.dead_letter_id, "consumer": it.consumer, "source": it.source, "position": it.position, "attempts": it.attempts,
        "failed_at": it.failed_at.to_rfc3339(), "error": it.error, "event_id": event.map(|it| &it.event_id), "type": event.map(|it| &it.r#type),
        "aggregate": event.map(|it| &it.aggregate), "aggregate_id": event.map(|it| it.aggregate_id), "version": event.map(|it| it.version),
    })
    .to_string()
}
