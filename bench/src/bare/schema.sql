-- The tables of the bare program: columns as in the product, and only the indexes that its own requests need.

create table people (
    user_id bigint primary key,
    username text not null
);

create table stages (
    key text collate "C" primary key,
    name text not null unique,
    kind text not null,
    default_probability integer not null,
    ordinal integer not null
);

create table opportunities (
    id bigint primary key,
    opportunity_name text not null,
    customer_id bigint not null,
    customer_name text not null,
    contact_id bigint,
    pipeline_id bigint not null,
    stage_key text collate "C" not null,
    status text not null,
    amount numeric(15, 2),
    currency text not null,
    probability integer not null,
    weighted_value numeric(15, 2),
    expected_close_date date,
    actual_close_date date,
    lost_reason text,
    owner_id bigint not null,
    team_id bigint,
    products text[] not null,
    notes text,
    source text,
    external_id text,
    tags text[] not null,
    waiting_until date,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    stage_entered_at timestamptz not null,
    version bigint not null
);
create index opportunities_stage_idx on opportunities (stage_key, amount, id);

create table stage_history (
    id bigint primary key,
    opportunity_id bigint not null,
    from_stage_key text collate "C",
    from_stage text,
    to_stage_key text collate "C" not null,
    to_stage text not null,
    probability integer not null,
    notes text,
    changed_by bigint not null,
    changed_at timestamptz not null,
    seconds_in_from_stage bigint
);
create index stage_history_opportunity_id_idx on stage_history (opportunity_id, changed_at);

create table outbox (
    id bigint generated always as identity primary key,
    recorded_at timestamptz not null,
    payload bytea not null
);

create table standing_rollup (
    stage_key text collate "C" primary key,
    count bigint not null,
    total_value numeric not null,
    weighted_value numeric not null,
    advanced bigint not null,
    lost bigint not null
);

create sequence opportunities_id_seq;
create sequence stage_history_id_seq;
