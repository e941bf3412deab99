-- The manager of a team is told of what closes in it only as long as they are a manager: otherwise they may not see it.

-- As who sees the least, until identity's events tell it.
alter table people add column role text not null default 'viewer';

-- They are all told once more from the beginning, and taken as newer.
update people set version = 0;
update inbox set position = 0 where source = 'identity';
