-- Programs that are given tokens: which there are, what they may do, and the codes that a sign-in on the product's own page gives them.

create table clients (
    -- Stands for a session in the tokens that a client is given for itself, and so comes from the same sequence.
    id bigint primary key default nextval('sessions_id_seq'),
    client_id text collate "C" not null,
    name text not null,
    kind text not null,
    -- SHA-256 of the secret, which has 256 random bits.
    secret_hash bytea,
    redirect_uris text[] not null,
    -- Its tokens are for reading; whether they may be for changing too.
    may_write boolean not null,
    -- As whom it acts by itself, if it may.
    user_id bigint,
    -- One of the product's own.
    is_built_in boolean not null,
    version bigint not null,
    created_at timestamptz not null,
    deleted_at timestamptz,
    constraint clients_client_id_key unique (client_id),
    constraint clients_user_id_fkey foreign key (user_id) references users,
    constraint clients_kind_check check (kind in ('public', 'confidential')),
    constraint clients_secret_hash_check check ((kind = 'confidential') = (secret_hash is not null)),
    constraint clients_user_id_check check (kind = 'confidential' or user_id is null)
);
create index clients_created_at_idx on clients (created_at, id) where deleted_at is null;

alter table sessions
    -- For which program somebody signed in; null where tokens were asked for with a password.
    add column client_id bigint,
    -- Whether its tokens are for changing too.
    add column may_write boolean not null default true,
    add constraint sessions_client_id_fkey foreign key (client_id) references clients;
create index sessions_client_id_idx on sessions (client_id) where ended_at is null and client_id is not null;

-- What a program exchanges for tokens, once. Kept for a day after that, so that a second use is noticed.
create table authorization_codes (
    -- SHA-256 of the code, which has 256 random bits.
    code_hash bytea primary key,
    client_id bigint not null,
    user_id bigint not null,
    redirect_uri text not null,
    code_challenge text not null,
    may_write boolean not null,
    -- Where the sign-in came from, if known.
    address text,
    expires_at timestamptz not null,
    -- The session that it gave.
    session_id bigint,
    constraint authorization_codes_client_id_fkey foreign key (client_id) references clients,
    constraint authorization_codes_user_id_fkey foreign key (user_id) references users
);
create index authorization_codes_expires_at_idx on authorization_codes (expires_at);
create index authorization_codes_user_id_idx on authorization_codes (user_id) where session_id is null;
create index authorization_codes_client_id_idx on authorization_codes (client_id) where session_id is null;
