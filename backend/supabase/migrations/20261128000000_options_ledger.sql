-- The pipeline's ledger: one row is the work on one partition (dataset, ticker, session, origin), which
-- workers claim; what each of its stages last came to stands in a table of its own. The table that was
-- there before had no origin and was never written.
drop table public.ledger;

create table public.ledger (
  dataset text collate "C" not null,
  ticker text collate "C" not null,
  session date not null,
  origin text collate "C" not null,
  stage text not null,
  status text not null,
  attempts integer not null,
  not_before timestamptz,
  lease_owner text,
  lease_until timestamptz,
  run_id text,
  code_version text,
  queued_at timestamptz not null,
  started_at timestamptz,
  finished_at timestamptz,
  error text,
  check (origin in ('live', 'simulator', 'recorded')),
  check (stage in ('extract', 'transform', 'enrich', 'quality', 'load', 'covered')),
  check (status in ('waiting', 'leased', 'done', 'failed')),
  primary key (dataset, ticker, session, origin)
);

create index ledger_open on public.ledger (dataset, ticker, session)
  where status in ('waiting', 'leased');

create table public.ledger_stages (
  dataset text collate "C" not null,
  ticker text collate "C" not null,
  session date not null,
  origin text collate "C" not null,
  stage text collate "C" not null,
  status text not null,
  source text,
  rows_in bigint not null,
  rows_out bigint not null,
  rows_rejected bigint not null,
  content_hash text,
  seconds double precision not null,
  run_id text not null,
  code_version text not null,
  finished_at timestamptz not null,
  check (origin in ('live', 'simulator', 'recorded')),
  check (stage in ('extract', 'transform', 'enrich', 'quality', 'load', 'covered')),
  check (status in ('done', 'failed')),
  primary key (dataset, ticker, session, origin, stage)
);

-- What coverage knows of how the stored rows were judged.
alter table public.coverage add column expected bigint;
alter table public.coverage add column checks jsonb;

do $$
declare
  table_name text;
begin
  foreach table_name in array array['ledger', 'ledger_stages'] loop
    execute format(
      'create trigger options_equal_rows before update on public.%I'
      ' for each row execute function suppress_redundant_updates_trigger()', table_name);
    perform public.options_close_table(table_name);
  end loop;
end
$$;
