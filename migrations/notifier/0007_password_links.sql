-- A mail may bring a link by which its recipient sets a password. The link itself is not kept: identity is asked for it whenever the mail is tried.

alter table deliveries
    alter column notification_id drop not null,
    -- The link's id at identity.
    add column password_link_id bigint,
    -- From when on there is no use in the mail; absent where it is always of use.
    add column expires_at timestamptz,
    add constraint deliveries_password_link_key unique (password_link_id, channel),
    add constraint deliveries_content_check check ((notification_id is null) <> (password_link_id is null)),
    drop constraint deliveries_state_check,
    -- Cancelled: there was no more use in it.
    add constraint deliveries_state_check check (state in ('queued', 'sending', 'delivered', 'retry', 'exhausted', 'cancelled')),
    drop constraint deliveries_due_check,
    add constraint deliveries_due_check check ((next_attempt_at is null) = (state in ('delivered', 'exhausted', 'cancelled')));
