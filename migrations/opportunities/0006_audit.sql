-- The audit reads the change log newest first. identity and opportunities have the same indexes.
--
-- Each index costs every write, so there are no more than these. Entries come in the order of time, so that the first tree grows at its
-- right end, which is the cheapest way to grow; that of one record is found by change_version_key, which is there anyway.

-- All entries, and those of a span of time.
create index change_recorded_at_idx on change (recorded_at, change_id);

-- Those of one user, who may have left long ago.
create index change_actor_user_id_idx on change (actor_user_id, recorded_at, change_id) where actor_user_id is not null;

-- What is rare: a request, a kind of event that hardly ever happens. It says for each megabyte of the log whether it may be there, is less
-- than a hundredth of the log's size, and is written once a megabyte is full, not at each change. What is frequent is found in the first index.
create index change_rare_idx on change
    using brin (request_id text_bloom_ops, type text_bloom_ops (n_distinct_per_range = 32), origin text_bloom_ops (n_distinct_per_range = 16))
    with (autosummarize = on);
