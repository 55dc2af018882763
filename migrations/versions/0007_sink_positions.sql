create table staging.sink_position (
    sink text not null constraint pk_sink_position primary key,
    delivered_seq bigint not null,
    updated_at timestamptz not null default now()
);
comment on table staging.sink_position is 'How far each sink is whose target cannot hold it';
comment on column staging.sink_position.sink is 'Sink, as in target_binding';
comment on column staging.sink_position.delivered_seq is 'All staged rows up to this number are taken by the sink';
comment on column staging.sink_position.updated_at is 'When it last moved';

-- the payment upload was the only sink with a checkpoint, under the name of its rule
insert into staging.sink_position (sink, delivered_seq)
select b.sink, c.source_position
from staging.checkpoint c
join staging.target_binding b on b.sink like '%.payment\_upload'
where c.reader = 'staging'
    and (select count(*) from staging.checkpoint where reader = 'staging') = 1
    and (select count(*) from staging.target_binding where sink like '%.payment\_upload') = 1;
update staging.dead_letter d set system = p.sink
from staging.sink_position p, staging.checkpoint c
where c.reader = 'staging' and d.stage = 'deliver' and d.system = c.system and d.resolved_at is null;
-- where the sink could not be told: they are found again, as the sink starts at 0
update staging.dead_letter d set resolved_at = now(), resolution = 'superseded'
from staging.checkpoint c
where c.reader = 'staging' and d.stage = 'deliver' and d.system = c.system and d.resolved_at is null;
delete from staging.checkpoint where reader = 'staging';
