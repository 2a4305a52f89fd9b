-- Beside the copies of what an account traded: check-points of its journal, by which a journal that was
-- cut off or put back is found, and where each day's gain came from.
create table public.journal_checkpoints (
  account_id text collate "C" not null,
  session date not null,
  seq bigint not null,
  hash text collate "C" not null,
  ts timestamptz not null,
  primary key (account_id, session)
);

create table public.pnl_attribution (
  account_id text collate "C" not null,
  mode text collate "C" not null,
  session date not null,
  underlying text collate "C" not null,
  delta_pnl numeric(18,6) not null,
  gamma_pnl numeric(18,6) not null,
  theta_pnl numeric(18,6) not null,
  vega_pnl numeric(18,6) not null,
  trading_pnl numeric(18,6) not null,
  fees numeric(18,6) not null,
  residual_pnl numeric(18,6) not null,
  total_pnl numeric(18,6) not null,
  check (mode in ('backtest', 'paper', 'rehearsal', 'live')),
  primary key (account_id, mode, session, underlying)
);

do $$
declare
  table_name text;
begin
  foreach table_name in array array['journal_checkpoints', 'pnl_attribution'] loop
    perform public.options_close_table(table_name);
    execute format(
      'create trigger options_equal_rows before update on public.%I'
      ' for each row execute function suppress_redundant_updates_trigger()', table_name);
  end loop;
end
$$;
