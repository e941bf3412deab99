-- What people do by themselves and what is done about them: invitations, sessions that can be looked at and ended, limits on guessing,
-- and answers that are given again.

-- Whether there are amounts, from when on the currency stays.
alter table settings add column currency_fixed boolean not null default false;

-- A person who was invited has no password until they set one.
alter table users alter column hashed_password drop not null;
create index users_created_at_idx on users (created_at, id);
create index users_team_id_idx on users (team_id) where team_id is not null;
create index teams_created_at_idx on teams (created_at, id) where deleted_at is null;
create index teams_parent_id_idx on teams (parent_id) where parent_id is not null;

alter table sessions
    -- How somebody signed in, and from where if known.
    add column method text not null default 'password',
    add column address text,
    -- Of the change log: 1 when it began, 2 when it ended.
    add column version bigint not null default 1,
    -- The token before the latest, which is taken once more for a few seconds while the latest is unused: the answer may have been lost.
    add column previous_generation bigint,
    add column previous_secret_hash bytea,
    add column rotated_at timestamptz;
create index sessions_live_idx on sessions (user_id, created_at, id) where ended_at is null;
drop index sessions_user_id_idx;
create index sessions_expires_at_idx on sessions (expires_at);

-- What tokens that were signed before no longer stand for: ended sessions, and whatever else stands for one, which takes its id from sessions_id_seq. Kept for as long
-- as a token may be unexpired: processes load it when they start.
create table revocations (
    session_id bigint primary key,
    revoked_at timestamptz not null
);
create index revocations_revoked_at_idx on revocations (revoked_at);

-- Wrong sign-ins of an account, known or not: one count for all addresses, and one for each address from which it was signed in to before.
create table sign_in_failures (
    -- SHA-256 of the folded e-mail address.
    account bytea not null,
    -- An address prefix with a success of its own, or empty for all others.
    prefix text not null,
    failures integer not null,
    -- Nothing is checked before.
    blocked_until timestamptz not null,
    failed_at timestamptz not null,
    primary key (account, prefix)
);
create index sign_in_failures_failed_at_idx on sign_in_failures (failed_at);

-- Where an account was signed in to.
create table sign_in_successes (
    account bytea not null,
    prefix text not null,
    succeeded_at timestamptz not null,
    primary key (account, prefix)
);
create index sign_in_successes_succeeded_at_idx on sign_in_successes (succeeded_at);

-- Wrong sign-ins from an address, whatever the account.
create table sign_in_addresses (
    prefix text primary key,
    -- The first of the minute that is counted.
    window_started_at timestamptz not null,
    failures integer not null
);

-- The first answer to a request with an idempotency key, written in the transaction of its effect. identity and opportunities have the same table.
create table idempotency (
    user_id bigint not null,
    operation text not null,
    key text not null,
    -- SHA-256 of the request.
    request_hash bytea not null,
    -- The answer as protobuf; null only inside the transaction that makes it.
    response bytea,
    created_at timestamptz not null,
    primary key (user_id, operation, key)
);
create index idempotency_created_at_idx on idempotency (created_at);
