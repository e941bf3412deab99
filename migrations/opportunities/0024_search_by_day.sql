-- Words that are neither frequent nor rare are looked up within a stretch of time. A range of pages tells poorly where that is: all of a page is looked through, and the list of a word is read
-- from its beginning. With the time among what the index of words knows, it skips from a word's first row of those days to the last.
drop index opportunity_search_created_at_idx;

-- The day of an instant, the eight days and the sixty-four around it, counted since 1970: each a number of its own, as the lowest three bits are the same for all of a kind.
create function opportunity_search_days(created_at timestamptz) returns integer[] language sql immutable strict parallel safe as $$
    select array[day << 3, (day >> 3) << 3 | 1, (day >> 6) << 3 | 2]
    from (select floor(extract(epoch from created_at - timestamptz '1970-01-01 00:00:00+00') / 86400)::integer as day) d
$$;

create index opportunity_search_words_idx on opportunity_search using gin (grams, opportunity_search_days(created_at));
drop index opportunity_search_grams_idx;
