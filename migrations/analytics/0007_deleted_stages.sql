-- Stages that are there no longer keep their place in the order: whoever went as far as one of them went further than the stages before it, for ever.
alter table stages add column is_deleted boolean not null default false;
