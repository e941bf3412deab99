-- Models are read by builds that know their form, and by no others.
alter table forecast_models add column format integer not null default 1;

-- What is open, the newest first: of everybody, and of one person.
create index opportunity_facts_open_idx on opportunity_facts (created_at desc, opportunity_id desc) where status = 'open' and not is_deleted;
create index opportunity_facts_open_of_owner_idx on opportunity_facts (owner_id, created_at desc, opportunity_id desc) where status = 'open' and not is_deleted;

-- What was told of one person's, day by day.
create index forecast_day_parts_owner_id_idx on forecast_day_parts (owner_id, start_date, end_date, made_on);
