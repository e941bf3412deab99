-- The change log: what was committed, told to others through the outbox, and never altered. identity and opportunities have the same file but for the schema's name.

-- Every change of every record, with the record after it. Never pruned.
create table change (
    change_id bigint generated always as identity primary key,
    event_id uuid not null,
    aggregate text not null,
    aggregate_id bigint not null,
    version bigint not null,
    type text not null,
    occurred_at timestamptz not null,
    recorded_at timestamptz not null,
    actor_user_id bigint,
    actor_service text,
    origin text not null,
    request_id text not null,
    -- The event without its position, as salespipeline.events.v1.Event.
    payload bytea not null,
    constraint change_version_key unique (aggregate, aggregate_id, version),
    constraint change_version_check check (version > 0),
    constraint change_actor_check check ((actor_user_id is null) <> (actor_service is null))
);

-- The order in which changes became visible: 1, 2, 3, … without gap. Given by the one relay after the commit, because change_id is given before it.
create table change_position (
    position bigint primary key,
    change_id bigint not null references change
);
create unique index change_position_change_id_key on change_position (change_id);

-- What the broker has not acknowledged yet. Rows live for milliseconds, so the table is not partitioned.
create table outbox (
    change_id bigint primary key references change,
    -- Set when the change was given its position, before the first publication.
    position bigint
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

do $$
declare
    service name := current_database() || '_opportunities';
begin
    execute format('revoke update, delete, truncate on change, change_position from %I', service);
end
$$;
