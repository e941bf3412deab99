-- How large the values of a group are, for the variance of what is expected of it: unlike the concentration it is the same of a part of the group, in one currency or without what is
-- left out of the forecast, so that variances of parts add up. Where the version before writes, it is 0 until the next run, and ranges of parts are as wide as the whole's.
alter table forecast_shares
    -- The sum of the squares of their values ÷ the sum of the values: the value of one if all are alike.
    add column typical_value double precision not null default 0,
    -- Written and read by the version before alone.
    alter column concentration drop not null;
