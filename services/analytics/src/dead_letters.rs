//! The command `dead-letters`: which events could not be applied and why, and applying them again once that is mended.

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use events::consumer;
use events::inbox::{self, DeadLetter};
use process::{Work, postgres};
use serde_json::json;
use sqlx::PgConnection;

use crate::config::{DeadLettersCommand, DeadLettersConfig};
use crate::consumer::{IDENTITY, NAME, OPPORTUNITIES, apply_identity, apply_opportunities};

/// How many are read at a time.
const PIECE: i64 = 500;

/// Lists them, shows one, or applies them again; fails where any stays aside that was to be applied.
pub fn run(config: DeadLettersConfig) -> Work<'static> {
    Box::pin(async move {
        let url = &config.database.url;
        let mut connection = postgres::connect(url, "analytics-dead-letters").await?;
        match config.what {
            DeadLettersCommand::List => each(&mut connection, |it| print(&line(&it))).await,
            DeadLettersCommand::Show { id } => {
                let it = one(&mut connection, id).await?;
                let event = it.event.as_ref();
                print(&line(&it));
                print(&event.map_or_else(ToString::to_string, |event| format!("{event:#?}")));
                Ok(())
            }
            DeadLettersCommand::Replay { id } => {
                let it = replay(&mut connection, id, process::now()).await?;
                let (applied, left) = (it.applied, it.left.len());
                print(&json!({ "applied": applied, "left": left, "errors": it.left }).to_string());
                if left > 0 {
                    bail!("{left} events stay aside");
                }
                Ok(())
            }
        }
    })
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn print(line: &str) {
    println!("{line}");
}

/// What is to be known of one, as a line of JSON; without the record, in which there may be anything.
fn line(it: &DeadLetter) -> String {
    let event = it.event.as_ref().ok();
    json!({
        "id": it.dead_letter_id, "source": it.source, "position": it.position, "attempts": it.attempts,
        "failed_at": it.failed_at.to_rfc3339(), "error": it.error, "event_id": event.map(|it| &it.event_id), "type": event.map(|it| &it.r#type),
        "aggregate": event.map(|it| &it.aggregate), "aggregate_id": event.map(|it| it.aggregate_id), "version": event.map(|it| it.version),
    })
    .to_string()
}

async fn each(connection: &mut PgConnection, mut tell: impl FnMut(DeadLetter)) -> Result<()> {
    let mut after = 0;
    loop {
        let piece = inbox::dead_letters(connection, NAME, after, PIECE).await?;
        let Some(last) = piece.last() else { return Ok(()) };
        after = last.dead_letter_id;
        piece.into_iter().for_each(&mut tell);
    }
}

async fn one(connection: &mut PgConnection, id: i64) -> Result<DeadLetter> {
    let found = inbox::dead_letters(connection, NAME, id - 1, 1).await?;
    let found = found.into_iter().find(|it| it.dead_letter_id == id);
    found.with_context(|| format!("there is no dead letter {id}"))
}

/// What came of applying again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How many are applied now.
    pub applied: usize,
    /// Why others are not, by id.
    pub left: Vec<(i64, String)>,
}

/// Applies one event again, or all, beside whoever applies. Applying may be repeated, and comes in any order.
pub async fn replay(
    connection: &mut PgConnection,
    id: Option<i64>,
    now: DateTime<Utc>,
) -> Result<Replayed> {
    let mut letters = Vec::new();
    match id {
        Some(id) => letters.push(one(connection, id).await?),
        None => each(connection, |it| letters.push(it)).await?,
    }
    let mut done = Replayed::default();
    for it in &letters {
        let applied = match it.source.as_str() {
            IDENTITY => consumer::replay(connection, NAME, it, &apply_identity, now).await?,
            OPPORTUNITIES => {
                consumer::replay(connection, NAME, it, &apply_opportunities, now).await?
            }
            other => Err(format!("nothing is applied of {other}")),
        };
        match applied {
            Ok(()) => done.applied += 1,
            Err(error) => done.left.push((it.dead_letter_id, error)),
        }
    }
    Ok(done)
}
