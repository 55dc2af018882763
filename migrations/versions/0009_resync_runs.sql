create table staging.resync_run (
    run_id bigint generated always as identity,
    command text not null,
    scope jsonb not null,
    rule_set text not null,
    state text not null,
    started_at timestamptz default now() not null,
    started_by text default session_user not null,
    host text not null,
    continued_at timestamptz,
    ended_at timestamptz,
    error_code text,
    error_text text,
    constraint pk_resync_run primary key (run_id),
    constraint ck_resync_run_state check (state in ('running', 'done', 'interrupted', 'window ended', 'failed'))
);
comment on table staging.resync_run is 'Each comparison of sources with staging, from its start to its end';
comment on column staging.resync_run.run_id is 'Number of the run';
comment on column staging.resync_run.command is 'Command that made it: verify';
comment on column staging.resync_run.scope is 'What it compares: systems, tables, keys';
comment on column staging.resync_run.rule_set is 'Rule set that says which columns are compared, by its digest';
comment on column staging.resync_run.state is
    'running, or was killed; done; interrupted; window ended: the rest is compared by the next one; failed';
comment on column staging.resync_run.started_at is 'When it began';
comment on column staging.resync_run.started_by is 'Database user that began it';
comment on column staging.resync_run.host is 'Host and process that work at it, or did last';
comment on column staging.resync_run.continued_at is 'When a later command went on with it';
comment on column staging.resync_run.ended_at is 'When it ended last';
comment on column staging.resync_run.error_code is 'Code of the error that ended it';
comment on column staging.resync_run.error_text is 'The error in words';

create table staging.resync_chunk (
    run_id bigint not null,
    system text not null,
    schema_name text not null,
    table_name text not null,
    chunk_no integer not null,
    low text collate "C",
    high text collate "C",
    position bigint not null,
    source_rows bigint not null,
    staged_rows bigint not null,
    rows_read bigint not null,
    elapsed_ms bigint not null,
    compared_at timestamptz default now() not null,
    constraint pk_resync_chunk primary key (run_id, system, schema_name, table_name, chunk_no)
);
comment on table staging.resync_chunk is
    'Each range of keys that a run compared; those of a table that is done cover every key';
comment on column staging.resync_chunk.run_id is 'Run, see staging.resync_run';
comment on column staging.resync_chunk.system is 'System the table is in';
comment on column staging.resync_chunk.schema_name is 'Its schema, as the source spells it';
comment on column staging.resync_chunk.table_name is 'Its name, as the source spells it';
comment on column staging.resync_chunk.chunk_no is 'Order of the chunks of a table, from 1';
comment on column staging.resync_chunk.low is 'First key that belongs to it, as in staging.source_row; null: no bound';
comment on column staging.resync_chunk.high is 'First key that no longer does; null: no bound';
comment on column staging.resync_chunk.position is 'Position (SCN or LSN) at which the source was read';
comment on column staging.resync_chunk.source_rows is 'Rows of the source then';
comment on column staging.resync_chunk.staged_rows is 'Rows that staging had meanwhile';
comment on column staging.resync_chunk.rows_read is
    'Rows of the source whose key or values were read, as sums of ranges differed';
comment on column staging.resync_chunk.elapsed_ms is 'How long adding up and reading took';
comment on column staging.resync_chunk.compared_at is 'When all its keys were judged';

create table staging.resync_difference (
    difference_id bigint generated always as identity,
    run_id bigint not null,
    system text not null,
    schema_name text not null,
    table_name text not null,
    key jsonb not null,
    class text not null,
    columns text[],
    source jsonb,
    staged jsonb,
    source_position bigint not null,
    staged_position bigint,
    cause text,
    first_seen timestamptz not null,
    judged_at timestamptz default now() not null,
    constraint pk_resync_difference primary key (difference_id),
    constraint ck_resync_difference_class check (class in ('missing', 'extra', 'different', 'postponed'))
);
create index ix_resync_difference_run_id on staging.resync_difference (run_id);
comment on table staging.resync_difference is 'Each row that a run found different, or could not judge';
comment on column staging.resync_difference.difference_id is 'Number of the record';
comment on column staging.resync_difference.run_id is 'Run, see staging.resync_run';
comment on column staging.resync_difference.system is 'System the table is in';
comment on column staging.resync_difference.schema_name is 'Its schema, as the source spells it';
comment on column staging.resync_difference.table_name is 'Its name, as the source spells it';
comment on column staging.resync_difference.key is 'Key of the row, source columns';
comment on column staging.resync_difference.class is
    'missing in staging; extra in staging; different in columns; postponed: could not be judged';
comment on column staging.resync_difference.columns is 'Columns that differ, where both sides are known';
comment on column staging.resync_difference.source is
    'The row in the source, source columns: those that differ, or all of a missing row';
comment on column staging.resync_difference.staged is
    'The row as staged: columns that differ, or all that is known of an extra row';
comment on column staging.resync_difference.source_position is 'Position at which the source was read';
comment on column staging.resync_difference.staged_position is 'Position of the last staged change of the row';
comment on column staging.resync_difference.cause is 'Why it differs or was postponed, where that is known';
comment on column staging.resync_difference.first_seen is 'When the key first looked different';
comment on column staging.resync_difference.judged_at is 'When it was judged';
