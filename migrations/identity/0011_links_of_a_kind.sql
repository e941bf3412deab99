-- A user may have an invitation and a reset at once: whoever asks for a reset takes no invitation away.
create unique index password_links_live_of_kind_key on password_links (user_id, kind) where used_at is null and withdrawn_at is null;
drop index password_links_live_key;
