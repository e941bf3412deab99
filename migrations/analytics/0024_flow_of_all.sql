-- What happened on a day or in a month, of everybody together: so that a trend of all costs as many rows as it has days, not as many as people sold on them. Rows of flow_rollup like the
-- others, with the grains `day_of_all` and `month_of_all`, and 0 in place of the owner and the team.
insert into flow_rollup
select grain || '_of_all', start_date, kind, pipeline_id, 0, 0, currency, sum(count), sum(value_count), sum(rate_missing), sum(value), sum(days_to_close)
from flow_rollup
where grain in ('day', 'month')
group by grain, start_date, kind, pipeline_id, currency;
