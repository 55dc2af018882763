create table staging.source_table (
    system text not null,
    schema_name text not null,
    table_name text not null,
    state text not null,
    definition jsonb,
    columns jsonb,
    read_position bigint,
    error_code text,
    reason text,
    requested_at timestamptz,
    requested_by text,
    changed_at timestamptz not null default now(),
    constraint pk_source_table primary key (system, schema_name, table_name),
    constraint ck_source_table_state check (state in ('read', 'reading', 'stopped'))
);
comment on table staging.source_table is
    'Each captured table: whether it was read, what it looked like, and why it is not read any more';
comment on column staging.source_table.system is 'System the table is read from';
comment on column staging.source_table.schema_name is 'Its schema, as the source spells it';
comment on column staging.source_table.table_name is 'Its name, as the source spells it';
comment on column staging.source_table.state is
    'read: its changes are staged; reading: its rows are read beside the stream; stopped: it is not read any more';
comment on column staging.source_table.definition is
    'What the reader saw of it when its changes were last found good: identity, columns, publication';
comment on column staging.source_table.columns is 'Columns that rules read of it';
comment on column staging.source_table.read_position is 'Position as of which all its rows were read last';
comment on column staging.source_table.error_code is 'Code of the error that stopped it';
comment on column staging.source_table.reason is 'Why it is not read any more';
comment on column staging.source_table.requested_at is 'When somebody asked for its rows to be read again';
comment on column staging.source_table.requested_by is 'Who asked';
comment on column staging.source_table.changed_at is 'When this row last changed';
