-- What keeping a copy needs: what a person could see, and until when.

-- A row whenever somebody who asks for changes sees other records than when they asked before. From it follows what is taken back from their copy, and nobody learns of
-- more by an old token than what they could see when it was theirs.
create table sync_sights (
    id bigint generated always as identity primary key,
    -- 0 for a service.
    user_id bigint not null,
    sees_all boolean not null,
    owner_id bigint not null,
    team_ids bigint[] not null,
    -- As of which position of the change log, and when, this was so for the first time.
    since_position bigint not null,
    since timestamptz not null
);
create index sync_sights_user_id_idx on sync_sights (user_id, id desc);
