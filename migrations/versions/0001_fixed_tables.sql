-- Every statement of revision 0001, as a DBA would run it. Comments become comments in the catalog.

revoke all on schema staging from public;
comment on schema staging is 'Shared by capture, sinks and auditors: changes, reconciled rows, deliveries';

create sequence staging.staged_seq;
create sequence staging.batch_id;

create table staging.change (
    system text not null,
    schema_name text not null,
    table_name text not null,
    operation text not null,
    key jsonb,
    before jsonb,
    after jsonb,
    source_position bigint not null,
    source_ordinal bigint not null,
    transaction_id text,
    committed_at timestamptz not null,
    batch_id bigint not null,
    staged_at timestamptz default now() not null,
    constraint pk_change primary key (source_position, source_ordinal, system, committed_at)
) partition by range (committed_at);
create index ix_change_batch_id on staging.change using brin (batch_id) with (pages_per_range = 32, autosummarize = on);
create index ix_change_key on staging.change using hash (key);
comment on table staging.change is 'Append-only log of every captured change, raw; one partition a month of committed_at';
comment on column staging.change.system is 'System the change was read from';
comment on column staging.change.schema_name is 'Schema of the changed table, as the source spells it';
comment on column staging.change.table_name is 'Changed table, as the source spells it';
comment on column staging.change.operation is 'c create, u update, d delete, r read from a snapshot, t truncate';
comment on column staging.change.key is 'Key columns and their values after the change (before it for a delete)';
comment on column staging.change.before is 'Row before the change; columns the log does not hold are left out';
comment on column staging.change.after is 'Row after the change; columns the log does not hold are left out';
comment on column staging.change.source_position is 'Commit position: SCN or LSN';
comment on column staging.change.source_ordinal is 'Order among the changes at that position';
comment on column staging.change.transaction_id is 'The source''s own transaction id';
comment on column staging.change.committed_at is 'When the source committed it';
comment on column staging.change.batch_id is 'Batch that staged it, see staging.batch';
comment on column staging.change.staged_at is 'When it was staged';

create table staging.batch (
    batch_id bigint not null,
    system text not null,
    reader text not null,
    run_id uuid not null,
    from_position bigint,
    to_position bigint not null,
    change_count bigint not null,
    counts jsonb not null,
    rule_set_id integer not null,
    rows_digest bytea not null,
    previous_digest bytea,
    digest bytea not null,
    staged_at timestamptz default now() not null,
    constraint pk_batch primary key (batch_id)
);
create index ix_batch_system_batch_id on staging.batch (system, batch_id);
comment on table staging.batch is 'Each committed batch, chained by digests: a removed or altered change breaks the chain';
comment on column staging.batch.batch_id is 'Number of the batch; grows per system';
comment on column staging.batch.system is 'System it was read from';
comment on column staging.batch.reader is 'Reader that read it: logminer, pgoutput';
comment on column staging.batch.run_id is 'The run of ccbridge that staged it';
comment on column staging.batch.from_position is 'Position up to which all was staged before';
comment on column staging.batch.to_position is 'Position up to which all is staged with it';
comment on column staging.batch.change_count is 'Rows it added to staging.change';
comment on column staging.batch.counts is 'By table: rows logged, suppressed echoes of our own writes';
comment on column staging.batch.rule_set_id is 'Rule set that mapped it';
comment on column staging.batch.rows_digest is 'BLAKE2b of its rows in staging.change';
comment on column staging.batch.previous_digest is 'Digest of the system''s batch before it';
comment on column staging.batch.digest is 'BLAKE2b over previous_digest, what this row says, and rows_digest';
comment on column staging.batch.staged_at is 'When it was staged';

create table staging.delivery (
    delivery_id bigint generated always as identity not null,
    sink text not null,
    target_table text not null,
    key jsonb not null,
    decision text not null,
    before jsonb,
    after jsonb,
    staged_seq bigint not null,
    target_transaction text,
    recorded_at timestamptz default now() not null,
    constraint pk_delivery primary key (delivery_id),
    constraint ck_delivery_decision check (decision in ('insert', 'update', 'delete', 'deactivate', 'void'))
);
create index ix_delivery_key on staging.delivery using hash (key);
create index ix_delivery_staged_seq_target_transaction on staging.delivery
    using brin (staged_seq, target_transaction) with (pages_per_range = 32, autosummarize = on);
create index ix_delivery_void on staging.delivery (sink, target_transaction) where decision = 'void';
comment on table staging.delivery is 'Append-only: each target row written, with what it was before';
comment on column staging.delivery.delivery_id is 'Number of the record';
comment on column staging.delivery.sink is 'Sink that wrote the row';
comment on column staging.delivery.target_table is 'Table written, with its schema';
comment on column staging.delivery.key is 'Key of the target row';
comment on column staging.delivery.decision is 'insert, update, delete, deactivate; void if it was never committed';
comment on column staging.delivery.before is 'Target row before, the columns written';
comment on column staging.delivery.after is 'Target row after, the columns written';
comment on column staging.delivery.staged_seq is 'Staged version that asked for it';
comment on column staging.delivery.target_transaction is 'Transaction id in the target';
comment on column staging.delivery.recorded_at is 'When it was recorded, just before the target''s commit';

create table staging.dead_letter (
    dead_letter_id bigint generated always as identity not null,
    stage text not null,
    system text not null,
    table_name text not null,
    rule text not null,
    key jsonb not null,
    entity text,
    entity_key jsonb,
    raw jsonb,
    reason_code text not null,
    reason text not null,
    source_position bigint,
    source_ordinal bigint,
    first_seen timestamptz default now() not null,
    last_seen timestamptz default now() not null,
    retries integer default 0 not null,
    resolved_at timestamptz,
    resolution text,
    constraint pk_dead_letter primary key (dead_letter_id),
    constraint ck_dead_letter_stage check (stage in ('map', 'deliver'))
);
create unique index uq_dead_letter_open on staging.dead_letter (stage, system, rule, key) where resolved_at is null;
comment on table staging.dead_letter is 'Rows set aside with their reason; a row without resolved_at waits';
comment on column staging.dead_letter.dead_letter_id is 'Number of the record';
comment on column staging.dead_letter.stage is 'map: could not be mapped; deliver: the target refused it';
comment on column staging.dead_letter.system is 'Source system (map) or sink (deliver)';
comment on column staging.dead_letter.table_name is 'Source table (map) or target table (deliver)';
comment on column staging.dead_letter.rule is 'Rule that was at work';
comment on column staging.dead_letter.key is 'Key of the source row (map) or of the target row (deliver)';
comment on column staging.dead_letter.entity is 'Entity whose row waits';
comment on column staging.dead_letter.entity_key is 'Key of the entity row that waits, if it could be mapped';
comment on column staging.dead_letter.raw is 'The row that was refused';
comment on column staging.dead_letter.reason_code is 'Stable name of the reason';
comment on column staging.dead_letter.reason is 'What was found and expected, without the value';
comment on column staging.dead_letter.source_position is 'Position of the change refused last';
comment on column staging.dead_letter.source_ordinal is 'Its order at that position';
comment on column staging.dead_letter.first_seen is 'When the key was first refused';
comment on column staging.dead_letter.last_seen is 'When it was last refused';
comment on column staging.dead_letter.retries is 'How often it was refused again';
comment on column staging.dead_letter.resolved_at is 'When it was settled; null while it waits';
comment on column staging.dead_letter.resolution is 'superseded, delivered, dropped';

create table staging.checkpoint (
    system text not null,
    reader text not null,
    identity jsonb not null,
    source_position bigint not null,
    source_ordinal bigint not null,
    resume jsonb not null,
    snapshot_complete boolean not null,
    batch_id bigint,
    updated_at timestamptz default now() not null,
    constraint pk_checkpoint primary key (system)
);
comment on table staging.checkpoint is 'Where each source is read on; moves in the transaction that stages the rows';
comment on column staging.checkpoint.system is 'System that is read';
comment on column staging.checkpoint.reader is 'Reader that made the position';
comment on column staging.checkpoint.identity is 'What the position is bound to: database, log lineage, slot';
comment on column staging.checkpoint.source_position is 'All up to here is durably staged';
comment on column staging.checkpoint.source_ordinal is 'Order of the last staged change at that position, -1 for none';
comment on column staging.checkpoint.resume is 'What the reader needs to go on';
comment on column staging.checkpoint.snapshot_complete is 'True once the first load was done';
comment on column staging.checkpoint.batch_id is 'Last batch of that system';
comment on column staging.checkpoint.updated_at is 'When it last moved';

create table staging.lease (
    name text not null,
    holder text not null,
    token bigint not null,
    acquired_at timestamptz not null,
    renewed_at timestamptz not null,
    expires_at timestamptz not null,
    constraint pk_lease primary key (name)
);
comment on table staging.lease is 'Who is active; a process without the current token can write nothing';
comment on column staging.lease.name is 'What is leased: a flow';
comment on column staging.lease.holder is 'Process that holds it';
comment on column staging.lease.token is 'Fencing token; grows with each new holder';
comment on column staging.lease.acquired_at is 'When the holder got it';
comment on column staging.lease.renewed_at is 'When the holder last renewed it';
comment on column staging.lease.expires_at is 'When another process may take it over, by this database''s clock';

create table staging.rule_set (
    rule_set_id integer generated always as identity not null,
    digest text not null,
    name text not null,
    files jsonb not null,
    loaded_at timestamptz default now() not null,
    constraint pk_rule_set primary key (rule_set_id),
    constraint uq_rule_set_digest unique (digest)
);
comment on table staging.rule_set is 'Every rule set ever used, in full';
comment on column staging.rule_set.rule_set_id is 'Number of the rule set';
comment on column staging.rule_set.digest is 'SHA-256 over all its files';
comment on column staging.rule_set.name is 'Name of the rule set';
comment on column staging.rule_set.files is 'File name to text: the rules as they were';
comment on column staging.rule_set.loaded_at is 'When it was first used';

create table staging.operator_action (
    action_id bigint generated always as identity not null,
    at timestamptz default now() not null,
    who text not null,
    action text not null,
    object text,
    detail jsonb,
    constraint pk_operator_action primary key (action_id)
);
comment on table staging.operator_action is 'Append-only: what people did with ccbridge';
comment on column staging.operator_action.action_id is 'Number of the action';
comment on column staging.operator_action.at is 'When it was done';
comment on column staging.operator_action.who is 'Person or service account';
comment on column staging.operator_action.action is 'What was done, for example migrate';
comment on column staging.operator_action.object is 'To what';
comment on column staging.operator_action.detail is 'Arguments and outcome';

create table staging.flow_state (
    flow text not null,
    status text not null,
    position bigint,
    staged_seq bigint,
    rows bigint default 0 not null,
    held bigint default 0 not null,
    detail text,
    error_code text,
    error_text text,
    hint text,
    run_id uuid,
    reported_at timestamptz default now() not null,
    constraint pk_flow_state primary key (flow)
);
comment on table staging.flow_state is 'What each flow said last, for ccbridge status; no part of the record';
comment on column staging.flow_state.flow is 'Name of the flow';
comment on column staging.flow_state.status is 'starting, snapshot, running, retrying, waiting, stopped, failed';
comment on column staging.flow_state.position is 'Source position it has reached';
comment on column staging.flow_state.staged_seq is 'Staged version it has reached';
comment on column staging.flow_state.rows is 'Rows since the process started';
comment on column staging.flow_state.held is 'Keys set aside and tried again';
comment on column staging.flow_state.detail is 'What it is doing, for example the table being read';
comment on column staging.flow_state.error_code is 'Code of the error it met, null while it runs';
comment on column staging.flow_state.error_text is 'The error in words';
comment on column staging.flow_state.hint is 'What to do about it';
comment on column staging.flow_state.run_id is 'The run of ccbridge that reports';
comment on column staging.flow_state.reported_at is 'When it last reported';

create table staging.receipt (
    recharge_id text not null,
    account_id text,
    amount numeric(15,2),
    currency text,
    tender_type text,
    accounting_date date,
    external_source text,
    transmission_id text,
    batch_id text,
    state text not null,
    state_reason text,
    tender_id text,
    payment_event_id text,
    payment_id text,
    built_at timestamptz,
    sent_at timestamptz,
    accepted_at timestamptz,
    posted_at timestamptz,
    source_system text not null,
    source_position bigint not null,
    source_ordinal bigint not null,
    operation text not null,
    committed_at timestamptz not null,
    staged_at timestamptz default now() not null,
    rule_set_id integer,
    staged_seq bigint not null,
    tombstone boolean not null,
    constraint pk_receipt primary key (recharge_id),
    constraint ck_receipt_state check (state in ('built', 'sent', 'accepted', 'posted', 'suspense', 'error', 'reversed'))
);
create index ix_receipt_account_id on staging.receipt (account_id);
create index ix_receipt_staged_seq on staging.receipt (staged_seq);
create index ix_receipt_state on staging.receipt (state);
create index ix_receipt_transmission_id on staging.receipt (transmission_id);
comment on table staging.receipt is 'Each recharge''s way into CC&B';
comment on column staging.receipt.recharge_id is 'The recharge, by its id in prepaid';
comment on column staging.receipt.account_id is 'CC&B account that is credited';
comment on column staging.receipt.amount is 'Amount in the currency''s units';
comment on column staging.receipt.currency is 'ISO 4217 code';
comment on column staging.receipt.tender_type is 'CC&B tender type sent';
comment on column staging.receipt.accounting_date is 'Accounting date sent';
comment on column staging.receipt.external_source is 'EXT_SOURCE_ID sent';
comment on column staging.receipt.transmission_id is 'EXT_TRANSMIT_ID sent; derived, so it is the same again';
comment on column staging.receipt.batch_id is 'EXT_BATCH_ID sent';
comment on column staging.receipt.state is 'built, sent, accepted, posted, suspense, error, reversed';
comment on column staging.receipt.state_reason is 'Why, where the state needs a reason';
comment on column staging.receipt.tender_id is 'PAY_TENDER_ID given by CC&B';
comment on column staging.receipt.payment_event_id is 'PAY_EVENT_ID given by CC&B';
comment on column staging.receipt.payment_id is 'PAY_ID given by CC&B';
comment on column staging.receipt.built_at is 'When the receipt was made from the recharge';
comment on column staging.receipt.sent_at is 'When CC&B''s upload tables held it';
comment on column staging.receipt.accepted_at is 'When CC&B''s upload took it';
comment on column staging.receipt.posted_at is 'When CC&B had posted the payment';
comment on column staging.receipt.source_system is 'System the values come from, by its configured name';
comment on column staging.receipt.source_position is 'Position (SCN or LSN) up to which this row is known to hold';
comment on column staging.receipt.source_ordinal is 'Order among the changes at that position';
comment on column staging.receipt.operation is 'c create, u update, d delete, r read from a snapshot';
comment on column staging.receipt.committed_at is 'When the source committed this version, never before the one it replaced';
comment on column staging.receipt.staged_at is 'When this version was staged';
comment on column staging.receipt.rule_set_id is 'Rule set that mapped it, see staging.rule_set';
comment on column staging.receipt.staged_seq is 'Grows in commit order over all tables; what sinks follow';
comment on column staging.receipt.tombstone is 'True once the row was deleted or left the entity';

create table staging.receipt_history (
    recharge_id text not null,
    account_id text,
    amount numeric(15,2),
    currency text,
    tender_type text,
    accounting_date date,
    external_source text,
    transmission_id text,
    batch_id text,
    state text not null,
    state_reason text,
    tender_id text,
    payment_event_id text,
    payment_id text,
    built_at timestamptz,
    sent_at timestamptz,
    accepted_at timestamptz,
    posted_at timestamptz,
    source_system text not null,
    source_position bigint not null,
    source_ordinal bigint not null,
    operation text not null,
    committed_at timestamptz not null,
    staged_at timestamptz default now() not null,
    rule_set_id integer,
    staged_seq bigint not null,
    tombstone boolean not null,
    superseded_seq bigint not null,
    valid_from timestamptz not null,
    valid_to timestamptz not null
);
create index ix_receipt_history_account_id on staging.receipt_history (account_id);
create index ix_receipt_history_recharge_id_valid_from on staging.receipt_history (recharge_id, valid_from);
create index ix_receipt_history_superseded_seq on staging.receipt_history (superseded_seq);
comment on table staging.receipt_history is 'Earlier versions of staging.receipt';
comment on column staging.receipt_history.recharge_id is 'The recharge, by its id in prepaid';
comment on column staging.receipt_history.account_id is 'CC&B account that is credited';
comment on column staging.receipt_history.amount is 'Amount in the currency''s units';
comment on column staging.receipt_history.currency is 'ISO 4217 code';
comment on column staging.receipt_history.tender_type is 'CC&B tender type sent';
comment on column staging.receipt_history.accounting_date is 'Accounting date sent';
comment on column staging.receipt_history.external_source is 'EXT_SOURCE_ID sent';
comment on column staging.receipt_history.transmission_id is 'EXT_TRANSMIT_ID sent; derived, so it is the same again';
comment on column staging.receipt_history.batch_id is 'EXT_BATCH_ID sent';
comment on column staging.receipt_history.state is 'built, sent, accepted, posted, suspense, error, reversed';
comment on column staging.receipt_history.state_reason is 'Why, where the state needs a reason';
comment on column staging.receipt_history.tender_id is 'PAY_TENDER_ID given by CC&B';
comment on column staging.receipt_history.payment_event_id is 'PAY_EVENT_ID given by CC&B';
comment on column staging.receipt_history.payment_id is 'PAY_ID given by CC&B';
comment on column staging.receipt_history.built_at is 'When the receipt was made from the recharge';
comment on column staging.receipt_history.sent_at is 'When CC&B''s upload tables held it';
comment on column staging.receipt_history.accepted_at is 'When CC&B''s upload took it';
comment on column staging.receipt_history.posted_at is 'When CC&B had posted the payment';
comment on column staging.receipt_history.source_system is 'System the values come from, by its configured name';
comment on column staging.receipt_history.source_position is 'Position (SCN or LSN) up to which this row is known to hold';
comment on column staging.receipt_history.source_ordinal is 'Order among the changes at that position';
comment on column staging.receipt_history.operation is 'c create, u update, d delete, r read from a snapshot';
comment on column staging.receipt_history.committed_at is 'When the source committed this version, never before the one it replaced';
comment on column staging.receipt_history.staged_at is 'When this version was staged';
comment on column staging.receipt_history.rule_set_id is 'Rule set that mapped it, see staging.rule_set';
comment on column staging.receipt_history.staged_seq is 'Grows in commit order over all tables; what sinks follow';
comment on column staging.receipt_history.tombstone is 'True once the row was deleted or left the entity';
comment on column staging.receipt_history.superseded_seq is 'staged_seq of the version that replaced this one';
comment on column staging.receipt_history.valid_from is 'This version held from here, included';
comment on column staging.receipt_history.valid_to is 'and up to here, excluded';
