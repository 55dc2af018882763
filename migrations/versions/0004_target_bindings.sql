create table staging.installation (
    installation_id uuid not null default gen_random_uuid(),
    made_at timestamptz not null default now(),
    constraint pk_installation primary key (installation_id)
);
comment on table staging.installation is
    'One row: the identity of this staging database, which its targets carry too';
comment on column staging.installation.installation_id is 'Tells this staging from others';
comment on column staging.installation.made_at is 'When ccbridge migrate made it';
insert into staging.installation default values;

create table staging.target_binding (
    sink text not null,
    system text not null,
    identity jsonb not null,
    writes bigint not null,
    delivered_seq bigint not null,
    seen_at timestamp,
    bound_at timestamptz not null default now(),
    bound_by text not null default session_user,
    reason text not null,
    updated_at timestamptz not null default now(),
    constraint pk_target_binding primary key (sink)
);
comment on table staging.target_binding is
    'Which database each sink writes, and how far it has; compared with the target before a write';
comment on column staging.target_binding.sink is 'Sink that writes the target';
comment on column staging.target_binding.system is 'System it writes';
comment on column staging.target_binding.identity is
    'What tells the target from others; nothing else is ever written';
comment on column staging.target_binding.writes is
    'Writes with deliveries, the one under way included; the target counts too';
comment on column staging.target_binding.delivered_seq is
    'All staged rows up to this number are delivered, or more';
comment on column staging.target_binding.seen_at is
    'Transmissions up to this time of CC&B''s clock were compared with receipts';
comment on column staging.target_binding.bound_at is 'When the target was bound';
comment on column staging.target_binding.bound_by is 'Who bound it';
comment on column staging.target_binding.reason is 'Why';
comment on column staging.target_binding.updated_at is 'When writes or delivered_seq last moved';
