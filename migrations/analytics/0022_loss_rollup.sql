-- What was lost, by the day or month in which it was, why, and the last open stage in which it stood: so that asking why costs as many rows as there are reasons and stages, not as there are
-- opportunities. Without a reason, or without such a stage, it is null. Derived: filled here from the facts, later by events.
create table loss_rollup (
    grain text not null,
    start_date date not null,
    pipeline_id bigint not null,
    owner_id bigint not null,
    team_id bigint not null,
    lost_reason text,
    stage_key text,
    count bigint not null,
    value_count bigint not null,
    rate_missing bigint not null,
    value numeric not null,
    unique nulls not distinct (grain, start_date, pipeline_id, owner_id, team_id, lost_reason, stage_key)
);

insert into loss_rollup
select part.grain, part.start_date, v.pipeline_id, v.owner_id, coalesce(v.team_id, 0), v.lost_reason, stood.key,
       count(*), count(v.value), count(*) filter (where v.is_rate_missing), coalesce(sum(v.value), 0)
from valued_opportunities v
cross join lateral (
    values ('day', v.actual_close_date), ('month', date_trunc('month', v.actual_close_date::timestamp)::date)
) part (grain, start_date)
left join lateral (
    select s.key
    from stage_move_facts m join stages s on s.pipeline_id = v.pipeline_id and s.key = m.to_stage_key
    where m.opportunity_id = v.opportunity_id and s.kind = 'open'
    order by m.changed_at desc, m.history_id desc limit 1
) stood on true
where v.status = 'lost' and v.actual_close_date is not null
group by 1, 2, 3, 4, 5, 6, 7;
