alter table staging.change add column source_user text;
alter table staging.change add column source_client text;
comment on column staging.change.source_user is 'Database user that made it; null where the log does not tell';
comment on column staging.change.source_client is
    'Client identifier that the application had set; null where there is none or the log does not tell';
alter table staging.flow_state add column current_to timestamptz;
alter table staging.flow_state add column changed_at timestamptz;
alter table staging.flow_state add column status_since timestamptz;
comment on column staging.flow_state.current_to is
    'All that the source had committed by then is staged: now while nothing is left to read';
comment on column staging.flow_state.changed_at is 'When the source committed the newest change that was read';
comment on column staging.flow_state.status_since is 'Since when it has this status';
alter table staging.lease add column version text;
alter table staging.lease add column rule_set text;
comment on column staging.lease.version is 'Release of ccbridge that the holder runs';
comment on column staging.lease.rule_set is 'Rule set that the holder runs, by its digest';
