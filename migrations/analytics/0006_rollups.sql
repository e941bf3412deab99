-- Rollups: sums over the facts, so that a report costs the number of its groups. Each is the sum of a pure function over
-- opportunity_facts with their moves; `analytics verify` recomputes them. A row whose numbers are all zero is not kept.
-- `team_id` 0 is no team; currencies and months that do not apply are '' and '-infinity', so that the keys are never null.

-- What stands where now, not deleted: open ones by their currency and the month in which they are expected to close; closed ones with
-- their frozen amount, month '-infinity' and currency ''.
create table standing_rollup (
    pipeline_id bigint not null,
    stage_key text collate "C" not null,
    -- open, won, lost
    status text collate "C" not null,
    owner_id bigint not null,
    team_id bigint not null,
    currency text collate "C" not null,
    -- First day of the month of expected_close_date; '-infinity' without one.
    close_month date not null,
    count bigint not null,
    -- How many of them have a value (an amount; of closed ones a frozen amount).
    value_count bigint not null,
    -- Of those without a value: how many have an amount and lack a rate (closed ones only; of open ones a report knows).
    rate_missing bigint not null,
    total_value numeric not null,
    -- Each weighted by its probability, rounded to the hundredth one by one.
    weighted_value numeric not null,
    primary key (pipeline_id, stage_key, status, owner_id, team_id, currency, close_month)
);

-- What happened on a day or in a month, not deleted: created (by the day of creation), won and lost (by actual_close_date).
create table flow_rollup (
    -- day, month
    grain text collate "C" not null,
    start_date date not null,
    -- created, won, lost
    kind text collate "C" not null,
    pipeline_id bigint not null,
    owner_id bigint not null,
    team_id bigint not null,
    -- Of created ones still open their own; otherwise ''.
    currency text collate "C" not null,
    count bigint not null,
    value_count bigint not null,
    rate_missing bigint not null,
    value numeric not null,
    -- Of won ones: whole days from the day of creation to the day they closed.
    days_to_close bigint not null,
    primary key (grain, start_date, kind, pipeline_id, owner_id, team_id, currency)
);

-- Who entered a stage for the first time on a day, in a month, ever; not deleted. Stage '' is the pipeline as a whole, entered by creation:
-- there `advanced` are those won now and `lost` those lost now.
create table conversion_rollup (
    -- day, month, all ('-infinity')
    grain text collate "C" not null,
    start_date date not null,
    pipeline_id bigint not null,
    stage_key text collate "C" not null,
    owner_id bigint not null,
    team_id bigint not null,
    entered bigint not null,
    advanced bigint not null,
    lost bigint not null,
    -- Stays in the stage that have ended, and how long they were.
    stays bigint not null,
    stay_seconds bigint not null,
    primary key (grain, start_date, pipeline_id, stage_key, owner_id, team_id)
);
