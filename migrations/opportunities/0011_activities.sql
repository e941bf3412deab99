-- Who is to do an activity, who is mentioned in it, and the lists of activities by what they are asked for.

-- No version so far makes any.
alter table activities
    add column owner_id bigint,
    add column mentions bigint[] not null default '{}';
update activities set owner_id = created_by;
alter table activities alter column owner_id set not null;

-- Those of an opportunity, newest first.
drop index activities_opportunity_id_idx;
create index activities_opportunity_id_idx on activities (opportunity_id, created_at, id) where deleted_at is null;
-- What is open is asked for by when it is to be done: of one opportunity, of one person, of all.
create index activities_next_idx on activities (opportunity_id, scheduled_at, id)
where deleted_at is null and completed_at is null and scheduled_at is not null;
create index activities_owner_due_idx on activities (owner_id, scheduled_at, id)
where deleted_at is null and completed_at is null and scheduled_at is not null;
create index activities_due_idx on activities (scheduled_at, id)
where deleted_at is null and completed_at is null and scheduled_at is not null;

-- A copy of what is to be done next, written by the transaction that changes an activity, so that a list of opportunities looks for nothing: `id`,
-- `activity_type`, `subject`, and `scheduled_at` in microseconds since 1970.
alter table opportunities add column next_activity jsonb;
