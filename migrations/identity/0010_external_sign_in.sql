-- Signing in with an external OpenID Connect provider.

-- Who somebody of ours is at a provider. Made by the first sign-in whose verified address is a user's, and gone with the address or the activity of that user.
create table external_identities (
    -- As the provider names itself.
    issuer text collate "C" not null,
    -- As the provider names the person; never given to another.
    subject text collate "C" not null,
    user_id bigint not null,
    linked_at timestamptz not null,
    constraint external_identities_pkey primary key (issuer, subject),
    constraint external_identities_user_id_issuer_key unique (user_id, issuer),
    constraint external_identities_user_id_fkey foreign key (user_id) references users
);

-- People who were sent to the provider and are to come back. Each is good once, in the browser that began it.
create table external_sign_ins (
    -- SHA-256 of the state, which has 256 random bits. What else is secret about a sign-in is derived from the state.
    state_hash bytea primary key,
    -- SHA-256 of what the browser holds in a cookie.
    browser_hash bytea not null,
    -- What the program asked for that they sign in for.
    client_id text not null,
    redirect_uri text not null,
    scope text not null,
    code_challenge text not null,
    -- The query of the sign-in page, as it came.
    page text not null,
    -- From where it began: what one customer of a network has; empty where it is not known.
    prefix text not null,
    expires_at timestamptz not null
);
create index external_sign_ins_expires_at_idx on external_sign_ins (expires_at);
create index external_sign_ins_prefix_idx on external_sign_ins (prefix, expires_at);

-- How somebody signed in for whom the code is.
alter table authorization_codes add column method text not null default 'code';
