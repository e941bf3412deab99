-- A search finds the newest first. Where words are frequent, the newest rows hold enough of them; where they are rare, the grams tell which rows have them. In between, the grams are
-- looked up within a stretch of time, which needs the time beside them. It narrows only: what counts is opportunities.created_at, and it may be off by up to an hour.
alter table opportunity_search add column created_at timestamptz not null default now();
update opportunity_search s set created_at = o.created_at from opportunities o where o.id = s.opportunity_id;
-- Rows are written about as they are made, so that a few bytes for every few pages tell where a stretch of time is; rows that moved since do not widen all of them.
create index opportunity_search_created_at_idx on opportunity_search using brin (created_at timestamptz_minmax_multi_ops) with (pages_per_range = 32, autosummarize = on);
