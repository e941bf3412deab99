-- What this service knows of identity's records, kept by its events.

create table people (
    user_id bigint primary key,
    username text not null,
    email text not null,
    language text not null,
    is_active boolean not null,
    version bigint not null
);
