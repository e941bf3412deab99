-- What was won without a value: the trend says how many of them its values leave out that were not made in its periods. Few, and all that it asks of them is in the index.
create index opportunity_facts_won_without_value_idx on opportunity_facts (actual_close_date)
include (created_at, owner_id, team_id, pipeline_id, amount)
where not is_deleted and status = 'won' and closed_amount is null;
