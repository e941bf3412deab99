-- Fields of an organisation's own. Lists of them are managed like that of lost reasons; one that is deleted keeps its key and its type, so that what opportunities say under the
-- key never becomes of another type.
insert into managed_lists (name, version) values ('custom_fields', 0);
create table custom_fields (
    key text collate "C" primary key,
    name text not null,
    type text not null,
    choices text[] not null,
    ordinal integer not null,
    is_deleted boolean not null,
    constraint custom_fields_type_check check (type in ('text', 'number', 'date', 'choice'))
);

-- What an opportunity says in them: key to text or number, dates and choices as texts; null where it says nothing, so that a list reads nothing more then.
alter table opportunities
    add column custom_fields jsonb,
    add constraint opportunities_custom_fields_check check (jsonb_typeof(custom_fields) = 'object' and custom_fields <> '{}');
create index opportunities_custom_fields_idx on opportunities using gin (custom_fields jsonb_path_ops)
where deleted_at is null and custom_fields is not null;
