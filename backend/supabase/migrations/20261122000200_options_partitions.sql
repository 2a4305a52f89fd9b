-- Makes the monthly partitions of a table for a range of time, and returns how many were missing.
--
-- A partition cannot be created while the default partition holds rows of its month, so those rows
-- are moved into the new table before it is attached. Call it in a transaction of its own before a
-- load: where a month is missing it waits for the table's writers, and they wait for it.
create function public.ensure_month_partitions(
  parent text, first_ts timestamptz, last_ts timestamptz
) returns integer
language plpgsql
security definer -- so that the service role needs no right to create tables
set search_path = ''
set timezone = 'UTC'
as $$
declare
  starts timestamptz := date_trunc('month', first_ts);
  ends timestamptz;
  part text;
  rest text := parent || '_default';
  made integer := 0;
begin
  if not exists (
    select from pg_catalog.pg_partitioned_table
    where partrelid = to_regclass(format('public.%I', parent))
  ) then
    raise exception 'public.% is not a partitioned table', parent using errcode = '42809';
  end if;
  if last_ts - first_ts > interval '18300 days' then
    raise exception 'more than 50 years of partitions were asked for' using errcode = '22023';
  end if;
  while starts <= last_ts loop
    ends := starts + interval '1 month';
    part := parent || to_char(starts, '_YYYY_MM');
    if to_regclass(format('public.%I', part)) is null then
      perform pg_advisory_xact_lock(hashtext('options.ensure_month_partitions'));
      -- Somebody may have made it while we waited: only a query sees that, a cached name may not.
      if not exists (
        select from pg_catalog.pg_class
        where relname = part and relnamespace = 'public'::regnamespace
      ) then
        execute format('create table public.%I (like public.%I including all)', part, parent);
        perform public.options_close_table(part);
        -- Writers wait here: one who had chosen the default partition already would fail (23514).
        execute format('lock table public.%I in share row exclusive mode', parent);
        execute format(
          'with moved as (delete from public.%I where ts >= %L and ts < %L returning *)'
          ' insert into public.%I select * from moved', rest, starts, ends, part);
        execute format(
          'alter table public.%I attach partition public.%I for values from (%L) to (%L)',
          parent, part, starts, ends);
        made := made + 1;
      end if;
    end if;
    starts := ends;
  end loop;
  return made;
end
$$;

-- Tells the newest migration of this program, where the table of migrations itself is out of reach.
create function public.options_schema_version() returns text
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
  return (
    select max(version) from supabase_migrations.schema_migrations where name like 'options\_%'
  );
end
$$;

select public.options_close_function('ensure_month_partitions(text, timestamptz, timestamptz)');
select public.options_close_function('options_schema_version()');

do $$
begin
  if exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
    grant execute on function
      public.ensure_month_partitions(text, timestamptz, timestamptz), public.options_schema_version()
      to service_role;
  end if;
end
$$;
