-- How sure a forecast may be of an opportunity: its own category, or that of its stage, which is by its default probability unless another is set.

alter table stages
    add column forecast_category text collate "C",
    add constraint stages_forecast_category_check check (forecast_category is null or kind = 'open' and forecast_category in ('commit', 'best_case', 'pipeline', 'omitted'));
alter table opportunities
    add column forecast_category text collate "C",
    add constraint opportunities_forecast_category_check check (forecast_category in ('commit', 'best_case', 'pipeline', 'omitted'));
