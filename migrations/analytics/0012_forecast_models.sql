-- What the forecast has learned, what it says of the open pipeline, and what it was on each day. Owned: it is made by this service, and says what was told when.

-- What was learned, the latest of which speaks; a few earlier ones are kept.
create table forecast_models (
    version bigint generated always as identity primary key,
    trained_at timestamptz not null,
    -- How many opportunities had closed.
    closed bigint not null,
    -- crates/forecast, `Trained`.
    bytes bytea not null
);

-- What the latest model says as of an instant; the latest run is read. Everything of a run is written in one transaction.
create table forecast_runs (
    run_id bigint generated always as identity primary key,
    model_version bigint not null references forecast_models on delete cascade,
    made_at timestamptz not null,
    -- Which day that was.
    made_on date not null,
    -- Which of the model's voices spoke, and from how many opportunities it learned.
    voice text not null,
    is_learned boolean not null,
    won bigint not null,
    lost bigint not null,
    -- How many months it looks ahead, that of made_on being the first.
    months integer not null,
    -- How many opportunities were open.
    open bigint not null
);
create index forecast_runs_model_version_idx on forecast_runs (model_version);

-- Of the value of a group of open opportunities, which share is expected to be won by the end of each of those months, in parts of 1,000,000,000. Owner 0 is the stage as a whole.
create table forecast_shares (
    run_id bigint not null references forecast_runs on delete cascade,
    pipeline_id bigint not null,
    stage_key text collate "C" not null,
    owner_id bigint not null,
    team_id bigint not null,
    close_month date not null,
    won_by integer[] not null,
    -- The sum of the squares of their values as a share of the square of the sum: 1 of a single one, the less the more they are.
    concentration double precision not null,
    primary key (run_id, pipeline_id, stage_key, owner_id, team_id, close_month)
);

-- What a period will bring beside what is won in it.
create table forecast_periods (
    run_id bigint not null references forecast_runs on delete cascade,
    start_date date not null,
    end_date date not null,
    -- From opportunities not made yet.
    new_business numeric not null,
    -- The middle of all that is to come, as a share of what is to be expected, and the standard deviation of its logarithm.
    middle double precision not null,
    sigma double precision not null,
    -- How many windows of that length were forecast again, and how many of them were in their range.
    tried integer not null,
    held integer not null,
    primary key (run_id, start_date, end_date)
);

-- The forecast of a period over everything, as it was given last on a day, or (is_replayed) would have been on one before the first that is kept.
create table forecast_days (
    start_date date not null,
    end_date date not null,
    made_on date not null,
    made_at timestamptz not null,
    model text not null,
    model_version integer not null,
    is_replayed boolean not null,
    closed_won numeric not null,
    from_pipeline numeric not null,
    from_new_business numeric not null,
    pessimistic numeric not null,
    realistic numeric not null,
    optimistic numeric not null,
    -- The standard deviation of the logarithm of what is to come, where a model spoke: the ranges of parts are made with it.
    sigma double precision,
    primary key (start_date, end_date, made_on)
);

-- The parts of that, which add up to it but for new business: what was won, and what was expected of what was open. Team 0 is no team.
create table forecast_day_parts (
    start_date date not null,
    end_date date not null,
    made_on date not null,
    owner_id bigint not null,
    team_id bigint not null,
    pipeline_id bigint not null,
    closed_won numeric not null,
    from_pipeline numeric not null,
    variance double precision not null,
    -- What was open and has a date, and of that what was expected to close in the period: no range goes beyond it.
    open_value numeric not null,
    dated_value numeric not null,
    primary key (start_date, end_date, made_on, owner_id, team_id, pipeline_id),
    foreign key (start_date, end_date, made_on) references forecast_days on delete cascade
);
