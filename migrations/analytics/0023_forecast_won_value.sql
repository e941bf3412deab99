-- What everything that was won came to when a model was trained: one deal can change more of what is forecast than a tenth of all deals.
alter table forecast_models add column won_value numeric not null default 0;
