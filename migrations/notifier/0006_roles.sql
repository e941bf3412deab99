-- The manager of a team is told of what closes in it only as long as they are a manager: otherwise they may not see it.

-- Absent until it is told: all that identity ever told of people is applied once more, by a consumer that begins at its beginning.
alter table people add column role text;
