-- Only the service role (and the owner) reads or writes: row-level security is on everywhere and has
-- no policy, and the roles of the public interface lose every right. A plain Postgres has none of
-- these roles; there nothing is granted or revoked.

create function public.options_close_table(table_name text) returns void
language plpgsql
set search_path = ''
as $$
declare
  role_name text;
begin
  execute format('alter table public.%I enable row level security', table_name);
  foreach role_name in array array['anon', 'authenticated'] loop
    if exists (select from pg_catalog.pg_roles where rolname = role_name) then
      execute format('revoke all on table public.%I from %I', table_name, role_name);
    end if;
  end loop;
  if exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
    execute format(
      'grant select, insert, update, delete on table public.%I to service_role', table_name);
  end if;
end
$$;

create function public.options_close_function(signature text) returns void
language plpgsql
set search_path = ''
as $$
declare
  role_name text;
begin
  execute format('revoke all on function public.%s from public', signature);
  foreach role_name in array array['anon', 'authenticated', 'service_role'] loop
    if exists (select from pg_catalog.pg_roles where rolname = role_name) then
      execute format('revoke all on function public.%s from %I', signature, role_name);
    end if;
  end loop;
end
$$;

select public.options_close_function('options_close_table(text)');
select public.options_close_function('options_close_function(text)');

do $$
declare
  table_name text;
begin
  foreach table_name in array array[
    'underlyings', 'option_contracts', 'dividends', 'splits', 'rates', 'coverage', 'download_runs',
    'quarantine', 'ledger', 'orders', 'order_events', 'trades', 'positions', 'signals',
    'account_snapshots', 'equity_bars', 'option_bars', 'option_quotes', 'option_trades',
    'equity_quotes', 'equity_bars_default', 'option_bars_default', 'option_quotes_default',
    'option_trades_default', 'equity_quotes_default'
  ] loop
    perform public.options_close_table(table_name);
  end loop;
end
$$;
