-- What this service knows of identity's records, kept by its events: whom to tell, in which language and where, and who leads whom.

create table people (
    user_id bigint primary key,
    username text not null,
    email text not null,
    language text not null,
    is_active boolean not null,
    version bigint not null
);

create table teams (
    team_id bigint primary key,
    manager_id bigint,
    is_deleted boolean not null,
    version bigint not null
);
