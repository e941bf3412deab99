//! All SQL of training and of runs.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use forecast::beginning::begun;
use forecast::history::Seconds;
use forecast::trained::FORMAT;
use money::Money;
use sqlx::{PgConnection, PgPool};

use super::fact::{Changed, Chunk, Done, Moved, Step, Told};
use super::history::money;
use super::run::{Rests, Share};
use crate::category::Category;
use crate::deal::Kind;

/// How many models are kept.
const KEPT_MODELS: i64 = 5;

/// The stages of all pipelines in order, deleted ones too.
pub(crate) async fn steps(connection: &mut PgConnection) -> sqlx::Result<Vec<Step>> {
    let rows = sqlx::query!(
        "select pipeline_id, key, kind, default_probability, forecast_category from stages order by pipeline_id, ordinal"
    )
    .fetch_all(connection)
    .await?;
    let steps = rows.into_iter().map(|row| {
        let kind = Kind::parse(&row.kind);
        Ok(Step {
            pipeline_id: row.pipeline_id,
            key: row.key,
            kind: kind.ok_or_else(|| sqlx::Error::Decode("stages.kind".into()))?,
            default_probability: row.default_probability,
            category: Category::of_stage(row.forecast_category.as_deref(), row.default_probability),
        })
    });
    steps.collect()
}

/// The next opportunities by id, all or those that are open, with all that is known of them.
pub(super) async fn chunk(
    connection: &mut PgConnection,
    after: i64,
    is_open: bool,
    limit: i64,
) -> sqlx::Result<Chunk> {
    let ids = sqlx::query_scalar!(
        "select opportunity_id from opportunity_facts where opportunity_id > $1 and not is_deleted and (not $2 or status = 'open')
         order by opportunity_id limit $3",
        after,
        is_open,
        limit
    );
    let ids = ids.fetch_all(&mut *connection).await?;
    some(connection, &ids).await
}

/// Some opportunities with all that is known of them.
pub(crate) async fn some(connection: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Chunk> {
    let told = sqlx::query_as!(
        Told,
        r#"select v.opportunity_id as "opportunity_id!", v.pipeline_id as "pipeline_id!", v.stage_key as "stage_key!", v.status as "status!",
                  v.owner_id as "owner_id!", v.team_id, f.source, f.forecast_category, v.currency as "currency!", v.amount as "amount: Money", v.value as "value: Money",
                  v.expected_close_date, v.actual_close_date, v.created_at as "created_at!"
           from valued_opportunities v join opportunity_facts f on f.opportunity_id = v.opportunity_id
           where v.opportunity_id = any($1)
           order by v.opportunity_id"#,
        ids
    )
    .fetch_all(&mut *connection)
    .await?;
    let moves = moves(&mut *connection, ids).await?;
    let changes = changes(&mut *connection, ids).await?;
    let done = done(connection, ids).await?;
    Ok(Chunk { told, moves, changes, done })
}

/// The moves of some, by opportunity, in the order of time.
async fn moves(connection: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<Moved>> {
    sqlx::query_as!(
        Moved,
        "select opportunity_id, to_stage_key, probability, changed_at from stage_move_facts
         where opportunity_id = any($1) order by opportunity_id, changed_at, history_id",
        ids
    )
    .fetch_all(connection)
    .await
}

/// What of some changed that is learned from, and what it was before, by opportunity, in the order of time.
async fn changes(connection: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<Changed>> {
    sqlx::query_as!(
        Changed,
        r#"select opportunity_id, at, owner_before as "owner_id!", currency_before as "currency!", amount_before as "amount: Money",
                  expected_before as expected_close_date, expected_close_date as expected_since
           from (
             select opportunity_id, version, at, owner_id, currency, amount, expected_close_date, lag(owner_id) over them as owner_before,
                    lag(currency) over them as currency_before, lag(amount) over them as amount_before,
                    lag(expected_close_date) over them as expected_before
             from opportunity_versions where opportunity_id = any($1)
             window them as (partition by opportunity_id order by version)
           ) it
           where owner_before is not null
             and (owner_before, currency_before, amount_before, expected_before) is distinct from (owner_id, currency, amount, expected_close_date)
           order by opportunity_id, version"#,
        ids
    )
    .fetch_all(connection)
    .await
}

/// When something was done about some, by opportunity, in the order of time: what was to be done when it was, anything else when it was written down, so that nothing is known sooner
/// than it was.
async fn done(connection: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<Done>> {
    sqlx::query_as!(
        Done,
        r#"select opportunity_id, at as "at!"
           from activity_facts
           cross join lateral (select case when scheduled_at is null then created_at else greatest(completed_at, created_at) end as at) done
           where opportunity_id = any($1) and not is_deleted and (scheduled_at is null or completed_at is not null)
           order by opportunity_id, at, activity_id"#,
        ids
    )
    .fetch_all(connection)
    .await
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) open: i64,
    pub(super) closed: i64,
    /// What those that were won came to.
    pub(super) won_value: Money,
}

/// How many are open, how many have closed, and for how much.
pub(super) async fn counts(connection: &mut PgConnection) -> sqlx::Result<Counts> {
    sqlx::query_as!(
        Counts,
        r#"select coalesce(sum(count) filter (where status = 'open'), 0)::bigint as "open!",
                  coalesce(sum(count) filter (where status <> 'open'), 0)::bigint as "closed!",
                  coalesce(sum(total_value) filter (where status = 'won'), 0) as "won_value!: Money"
           from standing_rollup"#
    )
    .fetch_one(connection)
    .await
}

/// What was won on each day, and the first day after the book began, as what was made, won or lost tells.
pub(super) async fn won(
    connection: &mut PgConnection,
) -> sqlx::Result<(Option<NaiveDate>, Vec<(NaiveDate, Money)>)> {
    let rows = sqlx::query!(
        r#"select start_date, coalesce(sum(value) filter (where kind = 'won'), 0) as "value!: Money", sum(count)::bigint as "count!"
           from flow_rollup where grain = 'day_of_all' group by start_date order by start_date"#
    )
    .fetch_all(connection)
    .await?;
    let counts = rows.iter().map(|row| (midnight(row.start_date), row.count.unsigned_abs()));
    let begun = begun(counts.clone(), counts.map(|(_, count)| count).sum());
    // What is brought in on the day on which a book begins was won before it, whatever it says.
    let first = rows.iter().find(|row| begun.is_some_and(|at| midnight(row.start_date) >= at));
    let first = first.and_then(|row| row.start_date.succ_opt());
    Ok((first, rows.into_iter().map(|row| (row.start_date, row.value)).collect()))
}

/// As an instant among others of its kind.
fn midnight(date: NaiveDate) -> Seconds {
    date.and_time(NaiveTime::MIN).and_utc().timestamp()
}

/// The latest model that this build can read, without what it learned.
pub(super) struct Latest {
    pub(super) version: i64,
    pub(super) trained_at: DateTime<Utc>,
    pub(super) closed: i64,
    pub(super) won_value: Money,
    /// When it was last run.
    pub(super) made_at: Option<DateTime<Utc>>,
    /// Over how many that were open.
    pub(super) open: Option<i64>,
}

/// The latest model that this build can read, if there is one.
pub(super) async fn latest(connection: &mut PgConnection) -> sqlx::Result<Option<Latest>> {
    sqlx::query_as!(
        Latest,
        r#"select m.version, m.trained_at, m.closed, m.won_value as "won_value: Money", r.made_at as "made_at?", r.open as "open?"
           from forecast_models m left join forecast_runs r on r.model_version = m.version
           where m.format = $1
           order by m.version desc, r.run_id desc limit 1"#,
        FORMAT
    )
    .fetch_optional(connection)
    .await
}

/// The model of the latest run, if there is one, and when it was trained. Where another build made that, which this one cannot read, its own latest.
pub(super) async fn speaking(pool: &PgPool) -> sqlx::Result<Option<(i64, DateTime<Utc>)>> {
    let row = sqlx::query!(
        "select m.version, m.trained_at from (select model_version from forecast_runs order by run_id desc limit 1) r
         join forecast_models m on m.version <= r.model_version and m.format = $1
         order by m.version desc limit 1",
        FORMAT
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.version, row.trained_at)))
}

/// What a model learned.
pub(super) async fn bytes(
    connection: &mut PgConnection,
    version: i64,
) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("select bytes from forecast_models where version = $1", version)
        .fetch_optional(connection)
        .await
}

/// Keeps a model, and forgets those that are long gone; its version.
pub(super) async fn publish(
    tx: &mut PgConnection,
    trained_at: DateTime<Utc>,
    (closed, won_value): (i64, Money),
    bytes: &[u8],
) -> sqlx::Result<i64> {
    let version = sqlx::query_scalar!(
        "insert into forecast_models (trained_at, closed, won_value, bytes, format) values ($1, $2, $3, $4, $5) returning version",
        trained_at,
        closed,
        won_value as Money,
        bytes,
        FORMAT
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!("delete from forecast_models where version <= $1", version - KEPT_MODELS)
        .execute(tx)
        .await?;
    Ok(version)
}

/// What is said of a run as a whole.
pub(super) struct NewRun<'a> {
    pub(super) model_version: i64,
    pub(super) made_at: DateTime<Utc>,
    pub(super) made_on: NaiveDate,
    pub(super) voice: &'a str,
    pub(super) is_learned: bool,
    pub(super) won: i64,
    pub(super) lost: i64,
    pub(super) months: i32,
    pub(super) open: i64,
}

/// Begins a run in place of the one before, which whoever reads it still has; its id.
pub(super) async fn begin_run(tx: &mut PgConnection, it: &NewRun<'_>) -> sqlx::Result<i64> {
    let run_id = sqlx::query_scalar!(
        "insert into forecast_runs (model_version, made_at, made_on, voice, is_learned, won, lost, months, open)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning run_id",
        it.model_version,
        it.made_at,
        it.made_on,
        it.voice,
        it.is_learned,
        it.won,
        it.lost,
        it.months,
        it.open
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!("delete from forecast_runs where run_id < $1", run_id).execute(tx).await?;
    Ok(run_id)
}

/// Keeps the shares of a run, some thousand at a time.
pub(super) async fn keep_shares(
    tx: &mut PgConnection,
    run_id: i64,
    shares: &[Share],
) -> sqlx::Result<()> {
    for shares in shares.chunks(2_000) {
        // All are of one length; arrays of arrays come apart in unnest.
        let won_by: Vec<i32> = shares.iter().flat_map(|it| it.won_by.iter().copied()).collect();
        let months = i64::try_from(shares.first().map_or(0, |it| it.won_by.len())).unwrap_or(0);
        let ids = |of: fn(&Share) -> i64| -> Vec<i64> { shares.iter().map(of).collect() };
        let keys: Vec<String> = shares.iter().map(|it| it.key.stage_key.clone()).collect();
        let typical: Vec<f64> = shares.iter().map(|it| it.typical_value).collect();
        sqlx::query!(
            "insert into forecast_shares (run_id, pipeline_id, stage_key, owner_id, team_id, close_month, typical_value, won_by)
             -- The month is for the version before, which tells groups apart by it.
             select $1, a, b, c, d, '-infinity', e, ($7::integer[])[((n - 1) * $8::bigint + 1)::integer:(n * $8)::integer]
             from unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::double precision[]) with ordinality as u (a, b, c, d, e, n)",
            run_id,
            &ids(|it| it.key.pipeline_id),
            &keys,
            &ids(|it| it.key.owner_id),
            &ids(|it| it.key.team_id),
            &typical,
            &won_by,
            months
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Keeps what each period will bring beside what is won in it.
pub(super) async fn keep_periods(
    tx: &mut PgConnection,
    run_id: i64,
    rests: &[Rests],
) -> sqlx::Result<()> {
    let starts: Vec<NaiveDate> = rests.iter().map(|it| it.span.start).collect();
    let ends: Vec<NaiveDate> = rests.iter().map(|it| it.span.end).collect();
    let new: Vec<Money> = rests.iter().map(|it| money(it.rest.new_business)).collect();
    let middles: Vec<f64> = rests.iter().map(|it| it.rest.middle).collect();
    let sigmas: Vec<f64> = rests.iter().map(|it| it.rest.sigma).collect();
    let tried: Vec<i32> = rests.iter().map(|it| it.tried).collect();
    let held: Vec<i32> = rests.iter().map(|it| it.held).collect();
    sqlx::query!(
        "insert into forecast_periods (run_id, start_date, end_date, new_business, middle, sigma, tried, held)
         select $1, a, b, c, d, e, f, g
         from unnest($2::date[], $3::date[], $4::numeric[], $5::double precision[], $6::double precision[], $7::integer[], $8::integer[])
              as u (a, b, c, d, e, f, g)",
        run_id,
        &starts,
        &ends,
        &new as &[Money],
        &middles,
        &sigmas,
        &tried,
        &held
    )
    .execute(tx)
    .await?;
    Ok(())
}
