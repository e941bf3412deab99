-- A mail may go to an address that its recipient no longer has: who had it is told that it is not theirs any more.
alter table deliveries
    -- Absent where it goes to where the recipient has mail when it is sent.
    add column fixed_address text,
    drop constraint deliveries_once_key;
create unique index deliveries_once_key on deliveries (notification_id, channel, coalesce(fixed_address, ''));
