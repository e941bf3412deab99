-- Facts: what events told of pipelines and opportunities. All of it is derived and can be rebuilt from nothing.

create table pipelines (
    pipeline_id bigint primary key,
    name text not null,
    is_default boolean not null,
    is_deleted boolean not null,
    version bigint not null
);

create table stages (
    pipeline_id bigint not null,
    key text collate "C" not null,
    name text not null,
    kind text not null,
    -- Order within the pipeline, from 1.
    ordinal integer not null,
    primary key (pipeline_id, key)
);

-- One row an opportunity, deleted ones too: the record as of its latest version.
create table opportunity_facts (
    opportunity_id bigint primary key,
    version bigint not null,
    opportunity_name text not null,
    customer_id bigint not null,
    pipeline_id bigint not null,
    stage_key text collate "C" not null,
    status text not null,
    owner_id bigint not null,
    team_id bigint,
    currency text not null,
    amount numeric(15, 2),
    closed_amount numeric(15, 2),
    probability integer not null,
    expected_close_date date,
    actual_close_date date,
    lost_reason text,
    source text,
    created_at timestamptz not null,
    stage_entered_at timestamptz not null,
    is_deleted boolean not null
);

-- One row a history row, inserted once whatever version the record has.
create table stage_move_facts (
    history_id bigint primary key,
    opportunity_id bigint not null,
    from_stage_key text collate "C",
    to_stage_key text collate "C" not null,
    probability integer not null,
    changed_by bigint not null,
    changed_at timestamptz not null
);
create index stage_move_facts_opportunity_id_idx on stage_move_facts (opportunity_id, changed_at);

-- How far each source has been told, for `as_of`.
create table progress (
    source text primary key,
    position bigint not null,
    recorded_at timestamptz not null
);
