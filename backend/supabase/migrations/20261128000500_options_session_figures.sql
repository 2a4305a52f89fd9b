-- What a session of options comes to in figures, and what the quality rules found in it.

create table public.expiration_figures (
  ts timestamptz not null,
  underlying text collate "C" not null,
  root text collate "C" not null,
  expiration date not null,
  session date not null,
  year_fraction double precision not null,
  forward double precision not null,
  risk_free_rate double precision not null,
  dividend_yield double precision not null,
  smile_quotes integer not null,
  atm_volatility double precision not null,
  skew_25_delta double precision not null,
  smile_error double precision not null,
  essvi_theta double precision not null,
  essvi_rho double precision not null,
  essvi_psi double precision not null,
  smile jsonb not null,
  expected_move double precision not null,
  straddle double precision,
  straddle_strike double precision,
  call_volume bigint,
  put_volume bigint,
  call_open_interest bigint,
  put_open_interest bigint,
  put_call_volume double precision,
  put_call_open_interest double precision,
  max_pain double precision,
  source text collate "C" not null,
  origin text collate "C" not null,
  check (source in ('schwab', 'polygon', 'synthetic')),
  check (origin in ('live', 'simulator', 'recorded')),
  primary key (ts, underlying, root, expiration, source, origin)
);

create table public.strike_figures (
  session date not null,
  underlying text collate "C" not null,
  strike double precision not null,
  ts timestamptz not null,
  call_volume bigint,
  put_volume bigint,
  call_open_interest bigint,
  put_open_interest bigint,
  call_gamma_exposure double precision,
  put_gamma_exposure double precision,
  gamma_exposure double precision,
  source text collate "C" not null,
  origin text collate "C" not null,
  check (source in ('schwab', 'polygon', 'synthetic')),
  check (origin in ('live', 'simulator', 'recorded')),
  primary key (session, underlying, strike, source, origin)
);

create table public.session_figures (
  session date not null,
  underlying text collate "C" not null,
  ts timestamptz not null,
  spot double precision,
  call_volume bigint,
  put_volume bigint,
  call_open_interest bigint,
  put_open_interest bigint,
  put_call_volume double precision,
  put_call_open_interest double precision,
  gamma_exposure double precision,
  gamma_flip double precision,
  call_wall double precision,
  put_wall double precision,
  month_volatility double precision,
  realized_volatility double precision,
  close_to_close_20 double precision,
  parkinson_20 double precision,
  yang_zhang_20 double precision,
  source text collate "C" not null,
  origin text collate "C" not null,
  check (source in ('schwab', 'polygon', 'synthetic')),
  check (origin in ('live', 'simulator', 'recorded')),
  primary key (session, underlying, source, origin)
);

create table public.quality_findings (
  ticker text collate "C" not null,
  dataset text collate "C" not null,
  session date not null,
  rule text collate "C" not null,
  severity text not null,
  verdict text not null,
  count bigint not null,
  rows bigint not null,
  reason text not null,
  samples jsonb not null,
  by_minute jsonb not null,
  source text collate "C" not null,
  origin text collate "C" not null,
  check (source in ('schwab', 'polygon', 'synthetic')),
  check (origin in ('live', 'simulator', 'recorded')),
  check (severity in ('info', 'warning', 'error')),
  check (verdict in ('flag', 'quarantine', 'gap')),
  primary key (ticker, dataset, session, rule, source, origin)
);

create index expiration_figures_session on public.expiration_figures (underlying, session);
create index strike_figures_underlying on public.strike_figures (underlying, session);
create index session_figures_underlying on public.session_figures (underlying, session);

do $$
declare
  table_name text;
begin
  foreach table_name in array array[
    'expiration_figures', 'strike_figures', 'session_figures', 'quality_findings'
  ] loop
    execute format(
      'create trigger options_equal_rows before update on public.%I'
      ' for each row execute function suppress_redundant_updates_trigger()', table_name);
    perform public.options_close_table(table_name);
  end loop;
end
$$;
