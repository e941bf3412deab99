-- What is to be sold, line by line: an array of `name`, `quantity`, `unit_price` and `discount` (percent); null where there are none, so that a list of opportunities
-- without them reads nothing more. With the row itself: lines are read and written with their opportunity, never alone.
alter table opportunities
    add column line_items jsonb,
    add constraint opportunities_line_items_check check (jsonb_typeof(line_items) = 'array' and line_items <> '[]');

-- Lists that administrators manage as a whole. The version of each rises by one with every change of any of its entries, and its row is the turn to change it.
create table managed_lists (
    name text collate "C" primary key,
    version bigint not null
);
insert into managed_lists (name, version) values ('lost_reasons', 0);

-- Why opportunities are lost, as an administrator lists it. An opportunity keeps the name as a text: what becomes of the list later does not change the past.
create table lost_reasons (
    id bigint generated always as identity primary key,
    name text not null,
    is_active boolean not null,
    ordinal integer not null
);
