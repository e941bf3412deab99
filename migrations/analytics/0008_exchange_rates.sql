-- Rates as events tell of them, and the values of open opportunities by them: what a rollup adds up is in the organisation's currency.

create table exchange_rates (
    rate_id bigint primary key,
    currency text collate "C" not null,
    valid_from date not null,
    rate numeric(20, 10) not null,
    is_deleted boolean not null,
    version bigint not null
);

-- The day by whose rates open opportunities are valued in the rollups: one row. It only moves forward, but for a new time zone.
create table valuation (
    id integer primary key default 1,
    valued_on date not null,
    constraint valuation_id_check check (id = 1)
);
insert into valuation (valued_on) values ('0001-01-01');

-- Of open ones in another currency the rollups had values in that currency, which no report took; there was no rate for any.
update standing_rollup set rate_missing = rate_missing + value_count, value_count = 0, total_value = 0, weighted_value = 0
where currency <> '' and currency <> (select default_currency from settings);
update flow_rollup set rate_missing = rate_missing + value_count, value_count = 0, value = 0
where currency <> '' and currency <> (select default_currency from settings);
