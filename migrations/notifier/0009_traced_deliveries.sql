-- A mail is sent after the request that caused it has been answered, and again and again where it fails. It stays part of its trace.
alter table deliveries
    -- Absent where the request was not part of one.
    add column traceparent text;
