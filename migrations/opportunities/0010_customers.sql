-- Customers and contacts as records of their own: what they are found by, and what became of those that are no more.

-- All of these are null in rows that were made before; the service fills in what it can when it starts.
alter table customers
    -- Into which it was merged: then it is deleted, and whatever speaks of it means that one.
    add column merged_into_id bigint,
    -- The name without punctuation and without what companies are called: alike in likely duplicates.
    add column name_key text collate "C",
    add column folded_email text collate "C",
    -- The digits of the telephone number.
    add column phone_digits text collate "C",
    -- Name and company, folded, a line each, and their characters one by one and two by two: for text search.
    add column folded text collate "C",
    add column grams text[],
    add constraint customers_merged_into_id_fkey foreign key (merged_into_id) references customers,
    add constraint customers_merged_into_id_check check (merged_into_id is null or deleted_at is not null);

-- One index for each sort.
create index customers_created_at_idx on customers (created_at, id) where deleted_at is null;
create index customers_updated_at_idx on customers (updated_at, id) where deleted_at is null;
create index customers_name_idx on customers ((name collate "C"), id) where deleted_at is null;
create index customers_grams_idx on customers using gin (grams) where deleted_at is null;
-- Names that lead to another customer.
create index customers_merged_name_idx on customers (folded_name) where merged_into_id is not null;
-- What is not filled in yet.
create index customers_unfilled_idx on customers (id) where name_key is null;

alter table contacts
    -- Into which it was merged: then it is deleted, and whoever it was is that one.
    add column merged_into_id bigint,
    -- When everything personal was removed from it; then it is deleted.
    add column erased_at timestamptz,
    add constraint contacts_merged_into_id_fkey foreign key (merged_into_id) references contacts,
    add constraint contacts_merged_into_id_check check (merged_into_id is null or deleted_at is not null);
create index contacts_list_idx on contacts (customer_id, created_at, id) where deleted_at is null;
create index contacts_merged_into_id_idx on contacts (merged_into_id) where merged_into_id is not null;

-- Whose opportunities lose their contact when it is deleted.
create index opportunities_contact_id_idx on opportunities (contact_id, id) where contact_id is not null;

-- Which customer was merged into which, so that it can be undone.
create table customer_merges (
    id bigint generated always as identity primary key,
    into_id bigint not null,
    from_id bigint not null,
    merged_by bigint not null,
    merged_at timestamptz not null,
    undone_at timestamptz,
    -- The fields that were empty and have what the other had. Not the values: those are with the other.
    filled text[] not null,
    constraint customer_merges_into_id_fkey foreign key (into_id) references customers,
    constraint customer_merges_from_id_fkey foreign key (from_id) references customers
);
create unique index customer_merges_from_id_key on customer_merges (from_id) where undone_at is null;

-- What a merge changed.
create table customer_merge_records (
    merge_id bigint not null,
    -- An opportunity; a contact that moved, became one with another, or was filled in.
    kind text not null,
    record_id bigint not null,
    -- After the merge: at another version it has been changed since.
    version bigint not null,
    -- Of an opportunity: its contact before.
    contact_id bigint,
    -- Of a contact: the fields that were filled in.
    filled text[] not null,
    primary key (merge_id, kind, record_id),
    constraint customer_merge_records_merge_id_fkey foreign key (merge_id) references customer_merges,
    constraint customer_merge_records_kind_check check (kind in ('opportunity', 'moved', 'joined', 'filled'))
);

-- Replaces the events of a contact that is erased by what is left of them. The service may only add to the change log; this is the one way around, and it leads no
-- further: to events of the contact, once that is erased, and to nothing longer than what was there.
create function redact_contact_changes(erased bigint, change_ids bigint[], payloads bytea[]) returns bigint
language sql
security definer
set search_path = opportunities, pg_temp
as $$
    with redacted as (
        update change
        set payload = given.payload
        from unnest(change_ids, payloads) as given (change_id, payload)
        where change.change_id = given.change_id and change.aggregate = 'contact' and change.aggregate_id = erased
            and length(given.payload) <= length(change.payload)
            and exists (select from contacts where contacts.id = erased and contacts.erased_at is not null)
        returning 1
    )
    select count(*) from redacted
$$;

do $$
declare
    service name := current_database() || '_opportunities';
begin
    revoke all on function redact_contact_changes from public;
    execute format('grant execute on function redact_contact_changes to %I', service);
end
$$;
