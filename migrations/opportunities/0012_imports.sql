-- Files that are brought in: what came, how far it has been worked off, and what became of each row.

create table imports (
    id bigint generated always as identity primary key,
    status text not null,
    -- What is done at present: looking at every row, writing, taking back what was written.
    phase text not null,
    dry_run boolean not null,
    all_or_nothing boolean not null,
    -- What stands between the fields of a row.
    delimiter text not null,
    -- The file's header, and the field that each column is; empty where it is none.
    headers text[] not null,
    fields text[] not null,
    total_rows integer not null,
    -- Where the next row begins, in bytes, and the number of the row before it; the header is row 1.
    next_byte bigint not null,
    last_row integer not null,
    -- How often the next rows could not be worked off.
    attempts integer not null default 0,
    created integer not null default 0,
    updated integer not null default 0,
    skipped integer not null default 0,
    failed integer not null default 0,
    undone integer not null default 0,
    kept integer not null default 0,
    requested_by bigint not null,
    request_id text not null,
    traceparent text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint imports_status_check check (status in ('receiving', 'queued', 'running', 'done', 'failed', 'undone')),
    constraint imports_phase_check check (phase in ('check', 'write', 'undo'))
);
-- What is to be done, by who has waited longest.
create index imports_waiting_idx on imports (updated_at) where status in ('receiving', 'queued', 'running');

-- The file, in pieces of one size but for the last; gone when it has been worked off.
create table import_pieces (
    import_id bigint not null,
    ordinal integer not null,
    data bytea not null,
    primary key (import_id, ordinal),
    constraint import_pieces_import_id_fkey foreign key (import_id) references imports
);

create table import_rows (
    import_id bigint not null,
    row integer not null,
    status text not null,
    opportunity_id bigint,
    external_id text collate "C",
    -- Of the opportunity, after it was written.
    version bigint,
    -- [{"field", "code", "message"}]
    errors text not null,
    primary key (import_id, row),
    constraint import_rows_import_id_fkey foreign key (import_id) references imports,
    constraint import_rows_status_check check (status in ('created', 'updated', 'skipped', 'failed', 'undone', 'kept'))
);
create index import_rows_external_id_idx on import_rows (import_id, external_id) where external_id is not null;
