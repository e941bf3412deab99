//! All SQL of forecasts that are kept.

use chrono::NaiveDate;
use money::Money;
use sqlx::{PgConnection, PgPool};

use super::{Given, KeptDay};
use crate::forecast::model::{Ahead, TrackRecord};
use crate::forecast::part::{Part, Pieces};
use crate::period::Span;
use crate::visibility::Scope;

/// The first day whose forecast is kept, if any is.
pub(crate) async fn first_kept(connection: &mut PgConnection) -> sqlx::Result<Option<NaiveDate>> {
    sqlx::query_scalar!("select min(made_on) from forecast_days where not is_replayed")
        .fetch_one(connection)
        .await
}

/// Forgets what would have been told on days before that.
pub(crate) async fn forget_replayed(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("delete from forecast_days where is_replayed").execute(tx).await?;
    Ok(())
}

/// Forgets what was told earlier on a day.
pub(super) async fn forget_day(tx: &mut PgConnection, made_on: NaiveDate) -> sqlx::Result<()> {
    sqlx::query!("delete from forecast_days where made_on = $1", made_on).execute(tx).await?;
    Ok(())
}

/// Keeps one, unless one of that period and day is kept.
pub(crate) async fn keep(tx: &mut PgConnection, it: &Given) -> sqlx::Result<()> {
    let [pessimistic, realistic, optimistic] = it.whole.range;
    let kept = sqlx::query!(
        "insert into forecast_days (start_date, end_date, made_on, made_at, model, model_version, is_replayed, closed_won, from_pipeline,
                                    from_new_business, pessimistic, realistic, optimistic, sigma)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) on conflict do nothing",
        it.span.start,
        it.span.end,
        it.made_on,
        it.made_at,
        it.model,
        it.model_version,
        it.is_replayed,
        it.whole.closed_won as Money,
        it.whole.from_pipeline as Money,
        it.whole.from_new_business as Money,
        pessimistic as Money,
        realistic as Money,
        optimistic as Money,
        it.sigma
    );
    if kept.execute(&mut *tx).await?.rows_affected() == 0 {
        return Ok(());
    }
    let money = |of: fn(&Pieces) -> Money| -> Vec<Money> {
        it.parts.iter().map(|(_, pieces)| of(pieces)).collect()
    };
    let owners: Vec<i64> = it.parts.iter().map(|(whose, _)| whose.owner_id).collect();
    let teams: Vec<i64> = it.parts.iter().map(|(whose, _)| whose.team_id).collect();
    let pipelines: Vec<i64> = it.parts.iter().map(|(whose, _)| whose.pipeline_id).collect();
    let variances: Vec<f64> = it.parts.iter().map(|(_, pieces)| pieces.variance).collect();
    sqlx::query!(
        "insert into forecast_day_parts (start_date, end_date, made_on, owner_id, team_id, pipeline_id, closed_won, from_pipeline, variance,
                                         open_value, dated_value)
         select $1, $2, $3, a, b, c, d, e, f, g, h
         from unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::numeric[], $8::numeric[], $9::double precision[], $10::numeric[], $11::numeric[])
              as u (a, b, c, d, e, f, g, h)",
        it.span.start,
        it.span.end,
        it.made_on,
        &owners,
        &teams,
        &pipelines,
        &money(|it| it.closed_won) as &[Money],
        &money(|it| it.from_pipeline) as &[Money],
        &variances,
        &money(|it| it.open_value) as &[Money],
        &money(|it| it.dated_value) as &[Money]
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Those of a period over everything, the first day first.
pub(super) async fn days(pool: &PgPool, span: Span) -> sqlx::Result<Vec<KeptDay>> {
    let rows = sqlx::query!(
        r#"select made_on, made_at, model, model_version, is_replayed, closed_won as "closed_won: Money", from_pipeline as "from_pipeline: Money",
                  from_new_business as "from_new_business: Money", pessimistic as "pessimistic: Money", realistic as "realistic: Money",
                  optimistic as "optimistic: Money"
           from forecast_days where start_date = $1 and end_date = $2 order by made_on"#,
        span.start,
        span.end
    )
    .fetch_all(pool)
    .await?;
    let days = rows.into_iter().map(|row| KeptDay {
        made_on: row.made_on,
        made_at: row.made_at,
        part: Part {
            closed_won: row.closed_won,
            from_pipeline: row.from_pipeline,
            from_new_business: row.from_new_business,
            range: [row.pessimistic, row.realistic, row.optimistic],
        },
        model: row.model,
        model_version: row.model_version,
        is_replayed: row.is_replayed,
    });
    Ok(days.collect())
}

/// Those of a period over a part of it, the first day first: owners and teams as they were then. Of days that were told again nothing is known of parts.
pub(super) async fn days_of_part(
    pool: &PgPool,
    scope: &Scope,
    span: Span,
) -> sqlx::Result<Vec<KeptDay>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let owner = scope.only_owner();
    let rows = sqlx::query!(
        r#"select d.made_on, d.made_at, d.model, d.model_version, d.sigma, coalesce(sum(p.closed_won), 0) as "closed_won!: Money",
                  coalesce(sum(p.from_pipeline), 0) as "from_pipeline!: Money", coalesce(sum(p.variance), 0) as "variance!",
                  coalesce(sum(p.open_value), 0) as "open_value!: Money", coalesce(sum(p.dated_value), 0) as "dated_value!: Money"
           from forecast_days d
           left join lateral (
             -- One of these two is not looked at: of one person they are found by the person.
             select * from forecast_day_parts p
             where $9 and p.owner_id = $10 and p.start_date = d.start_date and p.end_date = d.end_date and p.made_on = d.made_on
             union all
             select * from forecast_day_parts p
             where not $9 and p.start_date = d.start_date and p.end_date = d.end_date and p.made_on = d.made_on
           ) p on ($3 or p.owner_id = $4 or p.team_id = any($5)) and ($6::bigint is null or p.owner_id = $6)
             and ($7::bigint is null or p.team_id = $7) and ($8::bigint is null or p.pipeline_id = $8)
           where d.start_date = $1 and d.end_date = $2 and not d.is_replayed
           group by d.start_date, d.end_date, d.made_on
           order by d.made_on"#,
        span.start,
        span.end,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        scope.pipeline_id,
        owner.is_some(),
        owner.unwrap_or_default()
    )
    .fetch_all(pool)
    .await?;
    let days = rows.into_iter().map(|row| {
        let pieces = Pieces {
            closed_won: row.closed_won,
            from_pipeline: row.from_pipeline,
            variance: row.variance,
            open_value: row.open_value,
            dated_value: row.dated_value,
        };
        let ahead = row.sigma.map(|sigma| Ahead {
            new_business: Money::ZERO,
            middle: 1.0,
            sigma,
            record: TrackRecord::default(),
        });
        KeptDay {
            made_on: row.made_on,
            made_at: row.made_at,
            part: pieces.part(ahead, false),
            model: row.model,
            model_version: row.model_version,
            is_replayed: false,
        }
    });
    Ok(days.collect())
}
