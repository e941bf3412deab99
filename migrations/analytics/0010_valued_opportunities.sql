-- What is known of each opportunity that is not deleted, with what it counts for in reports: what is open by the rates of the day by which the rollups are valued, what is closed as
-- it was frozen. The rule is the rollups' own (rollup::Worth, Valuation); a test holds them together.
create view valued_opportunities as
select f.opportunity_id, f.version, f.opportunity_name, f.customer_id, f.pipeline_id, f.stage_key, f.status, f.owner_id, f.team_id, f.currency, f.amount,
       f.probability, f.expected_close_date, f.actual_close_date, f.lost_reason, f.created_at,
       worth.value, f.amount is not null and worth.value is null as is_rate_missing
from opportunity_facts f
cross join lateral (
    select case
        when f.status <> 'open' then f.closed_amount
        when f.currency = (select default_currency from settings) then f.amount
        else (
            select case when converted.amount <= 9999999999999.99 then converted.amount end
            from (
                select round(f.amount * r.rate, 2) as amount from exchange_rates r
                where r.currency = f.currency and not r.is_deleted and r.valid_from <= (select valued_on from valuation)
                order by r.valid_from desc limit 1
            ) converted
        )
    end as value
) worth
where not f.is_deleted;

-- Cohorts, and every list of opportunities behind a number.
create index opportunity_facts_created_at_idx on opportunity_facts (created_at desc, opportunity_id desc) where not is_deleted;
-- What closed within a time.
create index opportunity_facts_actual_close_date_idx on opportunity_facts (actual_close_date) where not is_deleted and status <> 'open';
