-- The service's own role: it may read and write the rows of this schema, and nothing else anywhere. The role that runs this owns the schema.
do $$
declare
    service name := current_database() || '_opportunities';
begin
    execute format('grant usage on schema opportunities to %I', service);
    execute format('alter default privileges in schema opportunities grant select, insert, update, delete on tables to %I', service);
    execute format('alter default privileges in schema opportunities grant usage, select on sequences to %I', service);
    -- Made by the migrator before this: from it the service knows whether its schema is new enough.
    if to_regclass('opportunities._sqlx_migrations') is not null then
        execute format('grant select on opportunities._sqlx_migrations to %I', service);
    end if;
end
$$;
