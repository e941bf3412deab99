-- What was won without a value, by the months in which it was won and was made: of the years of the trend, what their values leave out that was not made in them. Derived: filled here from
-- the facts, later by events.
create table unvalued_rollup (
    won_month date not null,
    created_month date not null,
    pipeline_id bigint not null,
    owner_id bigint not null,
    team_id bigint not null,
    without_amount bigint not null,
    without_rate bigint not null,
    primary key (won_month, created_month, pipeline_id, owner_id, team_id)
);

insert into unvalued_rollup
select date_trunc('month', f.actual_close_date::timestamp)::date, date_trunc('month', f.created_at at time zone s.time_zone)::date, f.pipeline_id, f.owner_id,
       coalesce(f.team_id, 0), count(*) filter (where f.amount is null), count(*) filter (where f.amount is not null)
from opportunity_facts f cross join settings s
where not f.is_deleted and f.status = 'won' and f.closed_amount is null and f.actual_close_date is not null
group by 1, 2, 3, 4, 5;
