-- Makes what the services need of a PostgreSQL: for each a schema, the role that owns it and the role that may only change its rows.
-- With psql 14 or newer, as a superuser or as the owner of the database who may create roles, as often as one likes:
--
--     psql --no-psqlrc --set ON_ERROR_STOP=1 --file provision.sql "$ADMIN_URL"
--
-- The roles' passwords are taken from the environment: IDENTITY_PASSWORD and IDENTITY_OWNER_PASSWORD, and so for opportunities,
-- analytics and notifier. A role that is there gets the present one.

\set QUIET on
\set VERBOSITY terse
set client_min_messages = warning;
\getenv identity_password IDENTITY_PASSWORD
\getenv identity_owner_password IDENTITY_OWNER_PASSWORD
\getenv opportunities_password OPPORTUNITIES_PASSWORD
\getenv opportunities_owner_password OPPORTUNITIES_OWNER_PASSWORD
\getenv analytics_password ANALYTICS_PASSWORD
\getenv analytics_owner_password ANALYTICS_OWNER_PASSWORD
\getenv notifier_password NOTIFIER_PASSWORD
\getenv notifier_owner_password NOTIFIER_OWNER_PASSWORD

-- What services refuse to start on is refused here.
do $$
begin
    if current_setting('server_version_num')::int < 150000 then
        raise exception 'PostgreSQL 15 or newer is needed, this is %', current_setting('server_version');
    end if;
    if current_setting('server_encoding') <> 'UTF8' then
        raise exception 'the encoding of the database is %, it must be UTF8', current_setting('server_encoding');
    end if;
    if upper('é') <> 'É' then
        raise exception 'LC_CTYPE of the database is C: create it with a UTF-8 locale such as C.UTF-8';
    end if;
end
$$;

begin;

-- A statement that fails is not written to the server's log, with a password in it. Who is no superuser may not say so.
select set_config('log_min_error_statement', 'panic', true) from pg_roles where rolname = current_user and rolsuper \g /dev/null

-- Kept until the end of the transaction, and seen by nobody else. A password that is missing fails here.
create temporary table wanted (service name, role name, password text not null check (length(password) >= 16)) on commit drop;
insert into wanted values
    ('identity', current_database() || '_identity_owner', :'identity_owner_password'),
    ('identity', current_database() || '_identity', :'identity_password'),
    ('opportunities', current_database() || '_opportunities_owner', :'opportunities_owner_password'),
    ('opportunities', current_database() || '_opportunities', :'opportunities_password'),
    ('analytics', current_database() || '_analytics_owner', :'analytics_owner_password'),
    ('analytics', current_database() || '_analytics', :'analytics_password'),
    ('notifier', current_database() || '_notifier_owner', :'notifier_owner_password'),
    ('notifier', current_database() || '_notifier', :'notifier_password');

do $$
declare
    it record;
begin
    execute format('revoke all on database %I from public', current_database());
    revoke all on schema public from public;
    for it in select * from wanted loop
        if exists (select from pg_roles where rolname = it.role) then
            execute format('alter role %I login password %L', it.role, it.password);
        else
            execute format('create role %I login password %L', it.role, it.password);
        end if;
        execute format('alter role %I set search_path = %I', it.role, it.service);
        execute format('grant connect, temporary on database %I to %I', current_database(), it.role);
        if it.role = current_database() || '_' || it.service || '_owner' then
            if not (select rolsuper from pg_roles where rolname = current_user) then
                -- Who is no superuser gives a schema only to a role that it could act as.
                execute format('grant %I to current_user', it.role);
            end if;
            execute format('create schema if not exists %I authorization %I', it.service, it.role);
        end if;
    end loop;
end
$$;

commit;
\echo 'The roles and schemas of the services are there.'
