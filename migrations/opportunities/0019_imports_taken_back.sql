-- Imports: who takes one back, who works on one at present, and whether a file brings its past.

alter table imports
    -- 'history': with times of the past.
    add column kind text not null default 'sales',
    -- Whoever works on it has it until then, and nobody else before.
    add column claimed_until timestamptz,
    -- Who takes it back, by which request; absent where it is taken back because it could not be ended.
    add column undone_by bigint,
    add column undo_request_id text not null default '',
    add column undo_traceparent text not null default '',
    add constraint imports_kind_check check (kind in ('sales', 'history'));
