-- How sure a forecast may be of what is open: its own category, or that of its stage, which is by its default probability unless another is set. Events tell both; of stages that were
-- told before, `analytics rebuild` fills them, or the next change of their pipeline.

alter table stages
    add column default_probability integer,
    add column forecast_category text collate "C";
alter table opportunity_facts add column forecast_category text collate "C";

-- Of standing_rollup what is open and has a category of its own, by that: a rollup beside it, so that what adds to that one goes on while this is applied. A change of a
-- stage's category changes nothing here; who reads knows the stages.
create table category_rollup (
    pipeline_id bigint not null,
    stage_key text collate "C" not null,
    owner_id bigint not null,
    team_id bigint not null,
    currency text collate "C" not null,
    -- First day of the month of expected_close_date; '-infinity' without one.
    close_month date not null,
    -- commit, best_case, pipeline, omitted
    forecast_category text collate "C" not null,
    count bigint not null,
    value_count bigint not null,
    rate_missing bigint not null,
    total_value numeric not null,
    weighted_value numeric not null,
    primary key (pipeline_id, stage_key, owner_id, team_id, currency, close_month, forecast_category)
);
