-- What was moved out of the database into the lake: coverage speaks of both.
create table public.retention (
  ticker text collate "C" not null,
  dataset text collate "C" not null,
  session date not null,
  kept text not null,
  rows_removed bigint not null,
  moved_at timestamptz not null,
  source text collate "C" not null,
  origin text collate "C" not null,
  check (source in ('schwab', 'polygon', 'synthetic')),
  check (origin in ('live', 'simulator', 'recorded')),
  check (kept in ('all', 'thinned', 'none')),
  primary key (ticker, dataset, session, source, origin)
);

create trigger options_equal_rows before update on public.retention
  for each row execute function suppress_redundant_updates_trigger();
select public.options_close_table('retention');
