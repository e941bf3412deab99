-- All activities, newest first, and those that are one person's: a page further on costs what the first one costs.
create index activities_created_at_idx on activities (created_at, id) where deleted_at is null;
create index activities_owner_created_at_idx on activities (owner_id, created_at, id) where deleted_at is null;
