-- How long those are in each open stage that entered it for the first time on a day, in a month, ever; not deleted: a row for each length in whole days, of
-- those who have left by how many days they were there, of those who stand in it by the day since when, so that it stays the same as time goes by. The
-- sum of a pure function over facts as the other rollups; `analytics rebuild` fills it for opportunities that were there before.
create table stay_rollup (
    -- day, month, all ('-infinity')
    grain text collate "C" not null,
    start_date date not null,
    pipeline_id bigint not null,
    stage_key text collate "C" not null,
    owner_id bigint not null,
    team_id bigint not null,
    -- Of those who stand in it: the day of coming in, earlier by the days of the stays before; '-infinity' of those who have left.
    since date not null,
    -- Of those who have left: all their stays together; otherwise 0.
    days bigint not null,
    count bigint not null,
    primary key (grain, start_date, pipeline_id, stage_key, owner_id, team_id, since, days)
);
