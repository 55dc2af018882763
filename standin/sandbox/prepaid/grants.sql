-- Who may do what in the prepaid database. The roles exist already (see application.py).
revoke create on schema public from public;
grant usage on schema public to prepaid_app, ccbridge;

-- the application itself
grant select, insert, update, delete on all tables in schema public to prepaid_app;
grant usage on all sequences in schema public to prepaid_app;

-- the bridge: reads all, writes what CC&B masters, acknowledges recharges, deletes nothing
grant select on public.customer, public.account, public.recharge, public.counter_payment to ccbridge;
grant insert, update on public.customer, public.account, public.counter_payment to ccbridge;
grant update (ccb_payment_id, posted_at) on public.recharge to ccbridge;

-- its mark, in a schema of its own
create schema ccbridge authorization ccbridge;

-- its writes carry a replication origin, by which it recognises them in the stream
do $$
declare
    origin_function regprocedure;
begin
    for origin_function in
        select p.oid::regprocedure from pg_catalog.pg_proc p
        where p.pronamespace = 'pg_catalog'::regnamespace and p.proname like 'pg\_replication\_origin\_%'
    loop
        execute format('grant execute on function %s to ccbridge', origin_function);
    end loop;
end
$$;
