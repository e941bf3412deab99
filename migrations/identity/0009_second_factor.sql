-- A second factor: one-time codes of an app (RFC 6238), with recovery codes for who loses the device.

-- Whether a sign-in needs more than a password: a row of second_factors is confirmed.
alter table users add column has_second_factor boolean not null default false;

-- The roles that must have one.
alter table settings add column second_factor_roles text[] not null default '{}';

create table second_factors (
    user_id bigint primary key,
    -- Encrypted: which key, nonce, AES-256-GCM. Bound to the user.
    secret bytea not null,
    created_at timestamptz not null,
    -- When its owner showed the first code; before, it is good for nothing.
    confirmed_at timestamptz,
    -- The time step of the latest code that was taken: none of it or before it is good any more.
    last_step bigint,
    constraint second_factors_user_id_fkey foreign key (user_id) references users,
    constraint second_factors_confirmed_check check ((confirmed_at is null) = (last_step is null))
);

create table recovery_codes (
    user_id bigint not null,
    -- SHA-256 of the code, which has 80 random bits.
    code_hash bytea not null,
    used_at timestamptz,
    primary key (user_id, code_hash),
    constraint recovery_codes_user_id_fkey foreign key (user_id) references second_factors on delete cascade
);
