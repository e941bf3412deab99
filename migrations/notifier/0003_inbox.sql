-- What has been applied of the events of other services. Every consuming service has the same file.

-- The last position applied of each source. Positions have no gaps, so this one number says of every event whether it was applied.
create table inbox (
    consumer text not null,
    source text not null,
    position bigint not null,
    applied_at timestamptz not null,
    primary key (consumer, source)
);

-- Events that could not be applied, kept to be looked at and applied again.
create table dead_letter (
    dead_letter_id bigint generated always as identity primary key,
    consumer text not null,
    source text not null,
    position bigint not null,
    event_id uuid not null,
    payload bytea not null,
    error text not null,
    attempts integer not null,
    failed_at timestamptz not null,
    constraint dead_letter_position_key unique (consumer, source, position)
);
