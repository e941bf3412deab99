-- Of which form the derived tables are: the lowest of the versions of the service that wrote to them since all of them were made anew. A version that begins to apply makes them anew where
-- theirs is lower than its own (`form.rs`). Nothing of before is known, so that they are of none. A migration that fills all that is new by itself raises it.
alter table progress add column form integer not null default 0;
