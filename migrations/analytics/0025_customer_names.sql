-- What an opportunity's customer is called, as its events tell: another name, or another customer, is a change of the opportunity. Of what was told before, `analytics rebuild` fills it, or
-- its next change.

alter table opportunity_facts add column customer_name text;

create or replace view valued_opportunities as
select f.opportunity_id, f.version, f.opportunity_name, f.customer_id, f.pipeline_id, f.stage_key, f.status, f.owner_id, f.team_id, f.currency, f.amount,
       f.probability, f.expected_close_date, f.actual_close_date, f.lost_reason, f.created_at,
       worth.value, f.amount is not null and worth.value is null as is_rate_missing, f.customer_name
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
