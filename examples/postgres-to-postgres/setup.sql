-- Run by a superuser of a test server with wal_level = logical: psql -f setup.sql
\set ON_ERROR_STOP on

create role ccbridge login replication password 'example';
create database staging owner ccbridge encoding 'UTF8' template template0;
create database shop;
create database ledger;

\connect shop
create table customer (
    id bigint primary key, full_name text not null, phone text, status text not null,
    balance numeric(15,2) not null, changed_at timestamptz not null default now()
);
insert into customer values
    (1, 'Ama  Ndiaye', '+221 77 000 00 01', 'active', 12.50),
    (2, 'Kofi Mensah', null, 'active', 0),
    (3, 'Test Customer', '000', 'test', 99);
create publication ccbridge for table customer;
grant select on customer to ccbridge;

\connect ledger
create table client (
    client_no bigint primary key, display_name text not null, phone text,
    credit numeric(15,2) not null, source_changed_at timestamptz
);
create schema ccbridge authorization ccbridge;
select pg_replication_origin_create('ccbridge');
grant execute on function pg_catalog.pg_replication_origin_session_setup(text) to ccbridge;
grant execute on function pg_catalog.pg_replication_origin_xact_setup(pg_lsn, timestamptz) to ccbridge;
grant temporary on database ledger to ccbridge;
grant select, insert, update, delete on client to ccbridge;
