//! Pipelines and their stages, how they are administered, and what every process remembers of them.

pub mod category;
pub mod closing;
pub mod draft;
pub(crate) mod event;
pub mod model;
pub mod stage;
pub(crate) mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use events::{Actor, Change, Origin};
use idempotency::{Once, Outcome};
use rpc::{Error, Invalid, mask::Wish};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::State;
use crate::cursor::Cursor;
use crate::custom_field::{self, model::CustomFields};
use crate::meta::Meta;
use crate::page::Asked;
use draft::{MOST_PIPELINES, NewStage};
use model::{Pipeline, Pipelines, default_stages};

/// The name of the pipeline with which a new installation begins.
const DEFAULT_NAME: &str = "銷售漏斗";
/// The operation that an idempotency key is for.
const CREATE: &str = "CreatePipeline";

/// The reason of a refusal to delete a stage in which opportunities stand.
pub(crate) const STAGE_IN_USE: &str = "STAGE_IN_USE";
/// The reason for which a write is decided again: the stages are others than were remembered.
const STAGES_CHANGED: &str = "STAGES_CHANGED";
/// How often a write is decided again.
const ATTEMPTS: u32 = 5;

/// Makes the default pipeline unless there is one. Idempotent, also when several replicas start at once.
pub async fn ensure_default(pool: &PgPool, now: DateTime<Utc>) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    let Some(id) = store::insert_default(&mut tx, DEFAULT_NAME, now).await? else { return Ok(()) };
    let stages = default_stages();
    let pipeline =
        Pipeline { id, name: DEFAULT_NAME.to_owned(), is_default: true, stages, version: 1 };
    store::put_stages(&mut tx, &pipeline).await?;
    let meta = Meta {
        actor: Actor::Service("opportunities".to_owned()),
        origin: Origin::System,
        recorded_at: now,
        request_id: String::new(),
        traceparent: String::new(),
    };
    events::outbox::append(&mut tx, &[event::created(&pipeline, &meta)]).await?;
    tx.commit().await?;
    Ok(())
}

/// All pipelines as they are stored.
pub async fn all(pool: &PgPool) -> Result<Pipelines, Error> {
    Ok(store::all(pool).await?)
}

/// A page of pipelines, the default one first, then by id, and what continues after it. There are few: they are read together.
pub async fn list(
    pool: &PgPool,
    (limit, cursor): Asked<'_>,
) -> Result<(Vec<Pipeline>, Option<String>), Error> {
    const LISTING: &str = "pipelines";
    // What came after the default one is without a key.
    const DEFAULT: &str = "default";
    let after = cursor.map(|text| Cursor::parse(text, LISTING)).transpose()?;
    let after = after.map(|after| (after.key().as_deref() != Some(DEFAULT), after.id()));
    let place = |it: &Pipeline| (!it.is_default, it.id);
    let all = all(pool).await?;
    let mut rest = all.iter().filter(|it| after.is_none_or(|after| place(it) > after)).peekable();
    let page: Vec<_> = rest.by_ref().take(limit).cloned().collect();
    let last = page.last().filter(|_| rest.peek().is_some());
    let key = |last: &Pipeline| last.is_default.then(|| DEFAULT.to_owned());
    let next = last.map(|last| Cursor::new(LISTING, key(last), last.id).write());
    Ok((page, next))
}

/// The pipeline of that id, or the default one where none is named, as it is stored.
pub async fn get(pool: &PgPool, id: Option<i64>) -> Result<Pipeline, Error> {
    let pipelines = store::all(pool).await?;
    pipelines.get(id).cloned().ok_or_else(|| not_found(id))
}

/// The pipeline of that id as a transaction sees it.
pub(crate) async fn in_transaction(
    tx: &mut PgConnection,
    id: i64,
) -> Result<Option<Pipeline>, Error> {
    Ok(store::all(tx).await?.get(Some(id)).cloned())
}

fn not_found(id: Option<i64>) -> Error {
    Error::not_found("pipeline", id.unwrap_or_default())
}

/// The stages that somebody calls so in a list; what nobody knows is a bad field.
pub fn stages_called(
    pipelines: &Pipelines,
    (field, called): (&str, &[String]),
    pipeline_id: Option<i64>,
    invalid: &mut rpc::Invalid,
) -> Option<Vec<(i64, String)>> {
    if called.is_empty() {
        return None;
    }
    let mut stages = Vec::new();
    for name in called {
        let found = pipelines.called(name, pipeline_id);
        if found.is_empty() {
            invalid.add(field, "unknown_stage", format!("there is no stage {name}"));
        }
        stages.extend(found.into_iter().map(|(pipeline, key)| (pipeline, key.to_owned())));
    }
    stages.sort();
    stages.dedup();
    Some(stages)
}

/// The lock between those who bring opportunities into stages, who share it, and those who administer pipelines. Whoever waits for it has its turn, however many come after;
/// a lock of rows that is shared without end would be waited for without end. It is the last lock that a write takes.
pub(crate) fn gate() -> i64 {
    events::lock::key("administer", "pipelines")
}

/// What a write fails with that was decided by stages which are others by now; see [`by_present_stages`].
pub(crate) fn stages_changed() -> Error {
    Error::Unavailable {
        reason: STAGES_CHANGED.into(),
        source: anyhow::anyhow!("the stages have changed since they were read"),
    }
}

/// Decides and writes by the stages that are remembered; where they turn out to be others by now, once more by the present ones. So nobody waits for a memory to become
/// fresh: not for the refusal of what is gone, nor for a stage that was made a moment ago elsewhere.
pub(crate) async fn by_present_stages<T, F>(
    state: &State,
    attempt: impl Fn() -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        let remembered = state.rules()?;
        let error = match attempt().await {
            Err(error) if left > 0 => error,
            answer => return answer,
        };
        let has_changed = error.reason() == STAGES_CHANGED;
        if !has_changed && !is_about_rules(&error) {
            return Err(error);
        }
        let present = state.refresh_rules().await?;
        if !has_changed && present == remembered {
            return Err(error);
        }
    }
}

/// Whether a memory that is not fresh may be the reason of a refusal.
fn is_about_rules(error: &Error) -> bool {
    let codes = [
        "unknown_stage",
        "unknown_pipeline",
        "stage_closing",
        "required_for_stage",
        "unknown_lost_reason",
        "unknown_custom_field",
        "unknown_choice",
    ];
    matches!(error, Error::Invalid(fields) if fields.iter().any(|it| codes.contains(&&*it.code)))
}

/// Fails where a stage asks for that field of the organisation's own. Until the transaction ends none comes to do so.
pub(crate) async fn no_stage_asks_for(tx: &mut PgConnection, key: &str) -> Result<(), Error> {
    store::take_turn(&mut *tx).await?;
    let pipelines = store::all(&mut *tx).await?;
    let asking: Vec<_> = pipelines.asking_for(key).collect();
    let Some((pipeline, stage)) = asking.first() else { return Ok(()) };
    let message = format!(
        "stage {} of pipeline {} asks for this field: have it ask for something else first",
        stage.name, pipeline.name
    );
    let error = Error::conflict("CUSTOM_FIELD_REQUIRED", message);
    Err(error
        .about("pipeline_id", pipeline.id)
        .about("stage_key", &stage.key)
        .about("stages", asking.len()))
}

/// A transaction beside which nobody administers pipelines and nothing comes into a stage, and all pipelines as they are in it.
struct Turn {
    tx: Transaction<'static, Postgres>,
    pipelines: Pipelines,
}

impl Turn {
    async fn take(state: &State) -> Result<Self, Error> {
        Self::of(state.writes.begin().await?).await
    }

    async fn of(mut tx: Transaction<'static, Postgres>) -> Result<Self, Error> {
        store::take_turn(&mut tx).await?;
        let pipelines = store::all(&mut *tx).await?;
        Ok(Self { tx, pipelines })
    }

    /// The organisation's own fields, none of which goes while this lasts; see [`no_stage_asks_for`].
    async fn custom_fields(&mut self) -> Result<CustomFields, Error> {
        Ok(custom_field::store::all(&mut *self.tx).await?)
    }

    /// The pipeline of that id, or the default one, if it is of that version.
    fn pipeline(&self, id: Option<i64>, expected_version: Option<i64>) -> Result<Pipeline, Error> {
        let pipeline = self.pipelines.get(id).ok_or_else(|| not_found(id))?;
        if expected_version.is_some_and(|version| version != pipeline.version) {
            return Err(Error::Stale { current: Some(pipeline.version) });
        }
        Ok(pipeline.clone())
    }

    /// Ends it with these changes told. From now on this process remembers the pipelines as they are.
    async fn commit(mut self, state: &State, changes: &[Change]) -> Result<(), Error> {
        events::outbox::append(&mut self.tx, changes).await?;
        self.tx.commit().await?;
        state.wake.wake();
        // Where it fails, it is done within a second anyway.
        let _ = state.refresh_rules().await;
        Ok(())
    }
}

/// Writes a pipeline with its stages as its next version, where anything is other; what is to be told of it.
async fn save(
    tx: &mut PgConnection,
    before: &Pipeline,
    after: &mut Pipeline,
    meta: &Meta,
) -> Result<Option<Change>, Error> {
    if before == after {
        return Ok(None);
    }
    number(after, before.version + 1);
    store::update(tx, after, None, meta.recorded_at).await?;
    store::put_stages(tx, after).await?;
    Ok(Some(event::updated(before, after, meta)))
}

fn number(pipeline: &mut Pipeline, version: i64) {
    pipeline.version = version;
    for stage in &mut pipeline.stages {
        stage.version = version;
    }
}

/// Makes a pipeline, with the standard stages where none are given. As the default one it takes that from the one that was.
pub async fn create(
    state: &State,
    caller: &Caller,
    (name, is_default, stages): (String, bool, Vec<NewStage>),
    once: Option<Once<Pipeline>>,
    meta: Meta,
) -> Result<Outcome<Pipeline>, Error> {
    caller.require_admin()?;
    let (by, at) = (caller.user_id, meta.recorded_at);
    let mut tx = state.writes.begin().await?;
    if let Some(answer) = idempotency::answered(&mut tx, by, CREATE, once.as_ref(), at).await? {
        return Ok(Outcome::Replay(answer));
    }
    let mut turn = Turn::of(tx).await?;
    let mut invalid = Invalid::default();
    let name = draft::pipeline_name(&mut invalid, &name, turn.pipelines.iter());
    let own = turn.custom_fields().await?;
    let stages = if stages.is_empty() {
        default_stages()
    } else {
        draft::lay_out(stages, &own, &mut invalid)
    };
    invalid.into_result()?;
    if turn.pipelines.iter().count() >= MOST_PIPELINES {
        let message = format!("there are {MOST_PIPELINES} pipelines, which is the most");
        return Err(Error::conflict("TOO_MANY_PIPELINES", message));
    }
    let name = name.ok_or_else(|| Error::internal("a name that is neither good nor bad"))?;
    let mut pipeline = Pipeline { id: 0, name, is_default, stages, version: 1 };
    number(&mut pipeline, 1);
    let former = if is_default { cede(&mut turn, &meta).await? } else { None };
    pipeline.id = store::insert(&mut turn.tx, &pipeline, at).await?;
    store::put_stages(&mut turn.tx, &pipeline).await?;
    idempotency::keep(&mut turn.tx, by, CREATE, once.as_ref(), &pipeline).await?;
    // The new one first: at no time is there none for whoever applies one after the other.
    let changes: Vec<_> =
        [Some(event::created(&pipeline, &meta)), former].into_iter().flatten().collect();
    turn.commit(state, &changes).await?;
    Ok(Outcome::New(pipeline))
}

/// The default pipeline is it no longer.
async fn cede(turn: &mut Turn, meta: &Meta) -> Result<Option<Change>, Error> {
    let Some(before) = turn.pipelines.default_one() else { return Ok(None) };
    let mut after = Pipeline { is_default: false, ..before.clone() };
    save(&mut turn.tx, before, &mut after, meta).await
}

/// Changes what is named of a pipeline. Another becomes the default one by being made it; the default one stays it until then.
pub async fn update(
    state: &State,
    caller: &Caller,
    (id, expected_version): (i64, Option<i64>),
    (name, is_default): (Wish<String>, Wish<bool>),
    meta: Meta,
) -> Result<Pipeline, Error> {
    caller.require_admin()?;
    let mut turn = Turn::take(state).await?;
    let before = turn.pipeline(Some(id), expected_version)?;
    let mut after = before.clone();
    let mut invalid = Invalid::default();
    if let Some(name) = name {
        let others = turn.pipelines.iter().filter(|other| other.id != id);
        let name = draft::pipeline_name(&mut invalid, &name.unwrap_or_default(), others);
        after.name = name.unwrap_or_default();
    }
    match is_default {
        Some(Some(is_default)) => after.is_default = is_default,
        Some(None) => invalid.add("is_default", "required", "cannot be cleared"),
        None => {}
    }
    if before.is_default && !after.is_default {
        let message = "there is always a default pipeline: make another one the default";
        invalid.add("is_default", "default_needed", message);
    }
    invalid.into_result()?;
    let becomes_it = after.is_default && !before.is_default;
    let former = if becomes_it { cede(&mut turn, &meta).await? } else { None };
    let updated = save(&mut turn.tx, &before, &mut after, &meta).await?;
    let changes: Vec<_> = [updated, former].into_iter().flatten().collect();
    turn.commit(state, &changes).await?;
    Ok(after)
}

/// Deletes a pipeline through which nothing runs.
pub async fn delete(
    state: &State,
    caller: &Caller,
    (id, expected_version): (i64, Option<i64>),
    meta: Meta,
) -> Result<(), Error> {
    caller.require_admin()?;
    let mut turn = Turn::take(state).await?;
    let before = turn.pipeline(Some(id), expected_version)?;
    if before.is_default {
        let message = "the default pipeline cannot be deleted: make another one the default first";
        return Err(Error::conflict("DEFAULT_PIPELINE", message));
    }
    if store::runs_any(&mut turn.tx, id).await? {
        let message = "opportunities run through this pipeline, of which some may be deleted and could be restored";
        return Err(Error::conflict("PIPELINE_IN_USE", message));
    }
    let mut after = before.clone();
    number(&mut after, before.version + 1);
    let at = meta.recorded_at;
    store::update(&mut turn.tx, &after, Some(at), at).await?;
    store::put_stages(&mut turn.tx, &after).await?;
    turn.commit(state, &[event::deleted(&before, &after, &meta)]).await
}
