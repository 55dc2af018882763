-- The prepaid application's own tables. Persons and accounts come from CC&B, recharges are born here.
create table public.customer (
    customer_id   bigint generated always as identity constraint customer_pk primary key,
    ccb_person_id text not null constraint customer_ccb_person_id_key unique,
    full_name     text not null,
    phone         text,
    email         text,
    language      text,
    national_id   text,
    active        boolean not null default true
);

create table public.account (
    ccb_account_id   text constraint account_pk primary key,
    ccb_person_id    text not null constraint account_customer_fk references public.customer (ccb_person_id),
    customer_class   text,
    currency         text not null,
    agreement_id     text,
    agreement_status text,
    service_point_id text,
    address          text,
    city             text,
    may_vend         boolean not null,
    active           boolean not null default true
);
create index account_person_ix on public.account (ccb_person_id);

create table public.recharge (
    recharge_id    text constraint recharge_pk primary key,
    ccb_account_id text not null,
    amount         numeric(15,2) not null constraint recharge_amount_ck check (amount > 0),
    currency       text not null,
    channel        text not null,
    tender_type    text not null,
    status         text not null constraint recharge_status_ck check (status in ('completed', 'cancelled')),
    recharged_at   timestamptz not null,
    ccb_payment_id text,
    posted_at      timestamptz
);
create index recharge_account_ix on public.recharge (ccb_account_id);

create table public.counter_payment (
    ccb_payment_id text constraint counter_payment_pk primary key,
    ccb_account_id text not null,
    amount         numeric(15,2) not null,
    currency       text not null,
    paid_on        date not null,
    tender_type    text,
    active         boolean not null default true
);
create index counter_payment_account_ix on public.counter_payment (ccb_account_id);

comment on table public.customer is 'a customer, mastered in CC&B (CI_PER)';
comment on table public.account is 'an account and its prepaid agreement, mastered in CC&B (CI_ACCT)';
comment on table public.recharge is 'a sale of energy, mastered here; ccb_payment_id and posted_at are CC&B''s acknowledgement';
comment on table public.counter_payment is 'a payment taken at a CC&B counter';

-- a recharge is money: its changes carry the whole row before as well
alter table public.recharge replica identity full;

create publication ccbridge
    for table public.customer, public.account, public.recharge, public.counter_payment;
