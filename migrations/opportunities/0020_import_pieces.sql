-- Of how many pieces the file of an import is, so that one that is missing is not taken for its end. Nothing where that was not written down, and while it comes.

alter table imports add column pieces integer;
