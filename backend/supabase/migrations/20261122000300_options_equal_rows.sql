-- An update that changes nothing writes nothing, whoever sends it: the upserts of the REST interface
-- (Prefer: resolution=merge-duplicates) cannot carry a condition of their own. Such a row is not
-- counted as changed either. Partitions inherit the trigger of their parent.
do $$
declare
  table_name text;
begin
  foreach table_name in array array[
    'underlyings', 'option_contracts', 'equity_bars', 'option_bars', 'option_quotes',
    'option_trades', 'equity_quotes', 'dividends', 'splits', 'rates', 'coverage', 'download_runs',
    'quarantine', 'ledger', 'orders', 'order_events', 'trades', 'positions', 'signals',
    'account_snapshots'
  ] loop
    execute format(
      'create trigger options_equal_rows before update on public.%I'
      ' for each row execute function suppress_redundant_updates_trigger()', table_name);
  end loop;
end
$$;
