-- What administering pipelines and stages needs.

-- As of which version of its pipeline a stage is: every change of a pipeline writes it into all its stages. A move or creation is written only while its stage has the
-- version that it was decided by, so that none follows rules that have changed meanwhile.
alter table stages add column version bigint not null default 1;
update stages s set version = p.version from pipelines p where p.id = s.pipeline_id;

-- Stages that are being deleted: nothing comes into them any more, and what stands in them is moved, in many transactions. The row goes with its stage.
create table stage_closings (
    pipeline_id bigint not null,
    key text collate "C" not null,
    -- Where its opportunities go: a stage of the same kind, which stays as long as this row.
    move_to text collate "C" not null,
    -- Who wants it, in which request; the moves are theirs.
    requested_by bigint not null,
    request_id text not null,
    traceparent text not null,
    -- The event that told of it: the cause of the moves.
    event_id uuid not null,
    primary key (pipeline_id, key),
    constraint stage_closings_stage_fkey foreign key (pipeline_id, key) references stages on delete cascade,
    constraint stage_closings_move_to_fkey foreign key (pipeline_id, move_to) references stages,
    constraint stage_closings_move_to_check check (key <> move_to)
);

-- Keys of stages that were deleted, with their kind: the history has them for ever, and what they meant stays.
create table retired_stages (
    pipeline_id bigint not null,
    key text collate "C" not null,
    kind text not null,
    primary key (pipeline_id, key),
    constraint retired_stages_pipeline_id_fkey foreign key (pipeline_id) references pipelines
);

-- Deleted opportunities by their stage; the living have opportunities_stage_idx.
create index opportunities_deleted_idx on opportunities (pipeline_id, stage_key) where deleted_at is not null;
