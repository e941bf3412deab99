-- What this service knows of identity's records, kept by its events: names, roles, teams and settings, so that no read needs a call.

create table people (
    user_id bigint primary key,
    username text not null,
    email text not null,
    role text not null,
    team_id bigint,
    is_active boolean not null,
    version bigint not null
);

create table teams (
    team_id bigint primary key,
    name text not null,
    manager_id bigint,
    parent_id bigint,
    is_deleted boolean not null,
    version bigint not null
);
create index teams_manager_id_idx on teams (manager_id) where manager_id is not null;

create table settings (
    id bigint primary key default 1,
    time_zone text not null,
    default_currency text not null,
    visibility text not null,
    fiscal_year_start integer not null,
    version bigint not null,
    constraint settings_single_check check (id = 1)
);
