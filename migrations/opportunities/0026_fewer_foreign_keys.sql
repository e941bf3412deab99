-- A foreign key is checked row by row: a quarter of what PostgreSQL did for an import. These are gone, as none of them can fail: what they refer to is written, or held, by the transaction that
-- writes them, is told to it by the database, and is never deleted, which the service's own role cannot do (import_rows: an import is deleted only while its file is coming, before it has rows).
alter table outbox drop constraint outbox_change_id_fkey;
alter table change_position drop constraint change_position_change_id_fkey;
alter table stage_history drop constraint stage_history_opportunity_id_fkey;
alter table import_rows drop constraint import_rows_import_id_fkey;

do $$
declare
    service name := current_database() || '_opportunities';
begin
    execute format('revoke delete, truncate on opportunities from %I', service);
end
$$;
