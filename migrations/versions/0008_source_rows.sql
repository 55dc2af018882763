create table staging.digest_definition (
    definition_id integer generated always as identity,
    system text not null,
    schema_name text not null,
    table_name text not null,
    identity text not null,
    algorithm text not null,
    columns jsonb not null,
    left_out jsonb not null,
    defined_at timestamptz default now() not null,
    constraint pk_digest_definition primary key (definition_id),
    constraint uq_digest_definition_system_schema_name_table_name_identity unique (system, schema_name, table_name, identity)
);
comment on table staging.digest_definition is
    'What digests of source rows are made of; only those of one definition can be compared';
comment on column staging.digest_definition.definition_id is 'Number of the definition';
comment on column staging.digest_definition.system is 'System the table is read from';
comment on column staging.digest_definition.schema_name is 'Its schema, as the source spells it';
comment on column staging.digest_definition.table_name is 'Its name, as the source spells it';
comment on column staging.digest_definition.identity is
    'Tells definitions apart: version, algorithm and columns, hashed';
comment on column staging.digest_definition.algorithm is 'The hash: md5 or sha256';
comment on column staging.digest_definition.columns is 'Columns that the digest is of';
comment on column staging.digest_definition.left_out is
    'Large columns that rules read and the digest is not of';
comment on column staging.digest_definition.defined_at is 'When it was first used';

create table staging.source_row (
    system text not null,
    schema_name text not null,
    table_name text not null,
    key text collate "C" not null,
    digest bigint,
    definition_id integer not null,
    tombstone boolean not null,
    source_position bigint not null,
    source_ordinal bigint not null,
    batch_id bigint not null,
    own_position bigint,
    constraint pk_source_row primary key (system, schema_name, table_name, key) include (digest, tombstone)
);
create index ix_source_row_tombstone on staging.source_row (system, schema_name, table_name) where tombstone;
comment on table staging.source_row is
    'Each row that a source has, mapped or not, as of source_row_state; for verification';
comment on column staging.source_row.system is 'System the row is in';
comment on column staging.source_row.schema_name is 'Schema of its table, as the source spells it';
comment on column staging.source_row.table_name is 'Its table, as the source spells it';
comment on column staging.source_row.key is 'Its key as one text that sorts as the source sorts keys';
comment on column staging.source_row.digest is '60 bits of a hash of what rules read of it; null: not known';
comment on column staging.source_row.definition_id is
    'What the digest is made of, see staging.digest_definition';
comment on column staging.source_row.tombstone is
    'It was deleted, while its table is read beside the stream';
comment on column staging.source_row.source_position is 'Position (SCN or LSN) of its last change';
comment on column staging.source_row.source_ordinal is 'Order among the changes at that position';
comment on column staging.source_row.batch_id is 'Batch that brought that change, see staging.batch';
comment on column staging.source_row.own_position is 'Position of the last change that was our own';

create table staging.source_row_state (
    system text not null,
    schema_name text not null,
    table_name text not null,
    batch_id bigint not null,
    position bigint not null,
    definition_id integer,
    swept_position bigint,
    refreshed_at timestamptz default now() not null,
    constraint pk_source_row_state primary key (system, schema_name, table_name)
);
comment on table staging.source_row_state is 'How far staging.source_row follows the change log, by table';
comment on column staging.source_row_state.system is 'System the table is read from';
comment on column staging.source_row_state.schema_name is 'Its schema, as the source spells it';
comment on column staging.source_row_state.table_name is 'Its name, as the source spells it';
comment on column staging.source_row_state.batch_id is
    'Its changes up to this batch are in staging.source_row';
comment on column staging.source_row_state.position is
    'Checkpoint of the source then: staging.source_row is as of here';
comment on column staging.source_row_state.definition_id is
    'Definition of its digests, see staging.digest_definition';
comment on column staging.source_row_state.swept_position is
    'Position of the last snapshot whose missing rows went';
comment on column staging.source_row_state.refreshed_at is 'When it was last brought up to date';

create table staging.own_change (
    own_change_id bigint generated always as identity,
    system text not null,
    schema_name text not null,
    table_name text not null,
    batch_id bigint not null,
    definition_identity text not null,
    keys text[] not null,
    digests bigint[] not null,
    gone boolean[] not null,
    positions bigint[] not null,
    ordinals bigint[] not null,
    transactions text[] not null,
    noted_at timestamptz default now() not null,
    constraint pk_own_change primary key (own_change_id)
);
create index ix_own_change_system_schema_name_table_name_batch_id on staging.own_change (system, schema_name, table_name, batch_id);
comment on table staging.own_change is
    'Own writes read back, which no change log has, until an hour after staging.source_row has them';
comment on column staging.own_change.own_change_id is 'Number of the record';
comment on column staging.own_change.system is 'System that ccbridge wrote to';
comment on column staging.own_change.schema_name is 'Schema of the table, as the source spells it';
comment on column staging.own_change.table_name is 'The table, as the source spells it';
comment on column staging.own_change.batch_id is 'Batch that read them back, see staging.batch';
comment on column staging.own_change.definition_identity is
    'What the digests are made of, see staging.digest_definition';
comment on column staging.own_change.keys is 'Keys, as in staging.source_row';
comment on column staging.own_change.digests is
    'Digest after each change; null: not known, or the row is gone';
comment on column staging.own_change.gone is 'Whether the row is gone after the change';
comment on column staging.own_change.positions is 'Position of each change';
comment on column staging.own_change.ordinals is 'Its order at that position';
comment on column staging.own_change.transactions is 'The source''s own transaction id of each change';
comment on column staging.own_change.noted_at is 'When they were read back';
