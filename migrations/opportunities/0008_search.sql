-- What a text search looks through, apart from the opportunities: a move touches none of it. There is a row for every opportunity, deleted ones too; what is
-- older than this table is added by the service when it starts.
create table opportunity_search (
    opportunity_id bigint primary key,
    -- Name, customer and notes, folded (NFKC, casefolded, spaces collapsed), a line each.
    folded text collate "C" not null,
    -- Every character of it, and every two that follow each other within a line: words of two characters have no trigram.
    grams text[] not null
);
create index opportunity_search_grams_idx on opportunity_search using gin (grams);

-- When opportunities came into a stage.
create index stage_history_to_stage_idx on stage_history (to_stage_key, changed_at, opportunity_id);
-- Which opportunities are stale.
create index opportunities_stage_entered_idx on opportunities (pipeline_id, stage_key, stage_entered_at) where status = 'open' and deleted_at is null;
