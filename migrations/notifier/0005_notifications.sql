-- What people are told of, and the e-mails by which they are told.

create table notifications (
    id bigint generated always as identity primary key,
    recipient_user_id bigint not null,
    event text not null,
    -- In the recipient's language at that time.
    title text not null,
    body text not null,
    opportunity_id bigint,
    -- The event that was told, so that telling it again makes no second notification.
    source_event_id uuid not null,
    occurred_at timestamptz not null,
    created_at timestamptz not null,
    read_at timestamptz,
    constraint notifications_once_key unique (source_event_id, recipient_user_id)
);
create index notifications_recipient_idx on notifications (recipient_user_id, created_at desc, id desc);
create index notifications_unread_idx on notifications (recipient_user_id, created_at desc, id desc) where read_at is null;

-- One row for each notification and channel, from the moment that the notification is made until it has been delivered or given up.
create table deliveries (
    id bigint generated always as identity primary key,
    notification_id bigint not null,
    channel text not null,
    state text not null,
    -- How often it was tried; also which try holds the lease, so that a worker who comes back late changes nothing.
    attempts integer not null,
    -- Due from then on; while it is being sent, when another worker may take it over. Absent when there is nothing left to do.
    next_attempt_at timestamptz,
    -- Where it goes: looked up again for every try.
    address text,
    -- The same at every try, by which a mail that was sent twice is recognised as one.
    message_id text not null,
    last_error text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint deliveries_notification_id_fkey foreign key (notification_id) references notifications on delete cascade,
    constraint deliveries_once_key unique (notification_id, channel),
    constraint deliveries_channel_check check (channel in ('email')),
    constraint deliveries_state_check check (state in ('queued', 'sending', 'delivered', 'retry', 'exhausted')),
    constraint deliveries_due_check check ((next_attempt_at is null) = (state in ('delivered', 'exhausted')))
);
create index deliveries_due_idx on deliveries (next_attempt_at) where next_attempt_at is not null;
