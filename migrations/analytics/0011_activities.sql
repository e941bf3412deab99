-- What is known of each activity, as of its latest version. With an opportunity that is deleted its activities are gone, without a change of their own:
-- whoever asks looks at opportunity_facts. Derived from events: `analytics rebuild` fills it for activities that were there before, and so does the
-- hourly look at the owner, piece by piece.
create table activity_facts (
    activity_id bigint primary key,
    version bigint not null,
    opportunity_id bigint not null,
    -- call, email, meeting, task, note
    activity_type text collate "C" not null,
    -- Who is to do it, or did it.
    owner_id bigint not null,
    -- Who wrote it down.
    created_by bigint not null,
    scheduled_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz not null,
    is_deleted boolean not null
);
create index activity_facts_opportunity_id_idx on activity_facts (opportunity_id);
-- What was written down, and what was done, within a time.
create index activity_facts_created_at_idx on activity_facts (created_at) where not is_deleted;
create index activity_facts_completed_at_idx on activity_facts (completed_at) where not is_deleted and completed_at is not null;
-- What is to be done.
create index activity_facts_to_do_idx on activity_facts (opportunity_id, scheduled_at) where not is_deleted and completed_at is null and scheduled_at is not null;
-- The same of one person: what they wrote down, what of theirs was done, and what of it is to be done.
create index activity_facts_created_by_idx on activity_facts (created_by, created_at) where not is_deleted;
create index activity_facts_done_by_idx on activity_facts (owner_id, completed_at) where not is_deleted and completed_at is not null;
create index activity_facts_owner_id_idx on activity_facts (owner_id, scheduled_at) where not is_deleted and completed_at is null and scheduled_at is not null;
