-- API keys: what programs show in the name of the person who made them.
create table api_keys (
    -- Of sessions_id_seq, as of everything that stands for a session: the tokens for which a key is exchanged name it as theirs.
    id bigint primary key,
    user_id bigint not null,
    name text not null,
    -- SHA-256 of the key, which has 256 random bits.
    key_hash bytea not null,
    -- Beside reading, which every key may.
    can_write boolean not null,
    created_at timestamptz not null,
    -- Null where that is never.
    expires_at timestamptz,
    revoked_at timestamptz,
    -- Not written down at each use: about once a minute.
    last_used_at timestamptz,
    -- Of the change log: 1 when it was made, 2 when it was revoked.
    version bigint not null,
    constraint api_keys_user_id_fkey foreign key (user_id) references users
);
create index api_keys_user_id_idx on api_keys (user_id, created_at, id) where revoked_at is null;
