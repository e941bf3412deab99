-- Whether identity keeps the currency as it is, because there are amounts: asked of it before the first one is kept.
alter table settings add column currency_fixed boolean not null default false;
