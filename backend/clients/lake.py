"""The lake: market data as Parquet files, in a folder or on S3, read by filter or by SQL.

    lake/option_bars_1m/underlying=QQQ/session=2025-10-20/polygon-live.parquet

One file holds all that one source and origin have of an underlying's session; a write replaces it
as a whole, so that doing it twice is doing it once. Bars are sorted by time and contract (a chain
at a minute touches one row group), trades and quotes by contract and time. Of the whole market,
underlyings with few rows share a file of each session:

    lake/option_bars_1m/_shared/session=2025-10-20/polygon-live.parquet

What has a file of its own besides is read from that one alone.

    python -m clients.lake ls
    python -m clients.lake sql "select session, count(*) from option_bars_1m group by all"
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from pydantic import Field, SecretStr

from clients.lake_place import LocalPlace, Place, S3Place
from clients.lake_shared import UNDERLYINGS
from clients.lake_writer import (
    SHARED,
    Partition,
    PartitionWriter,
    made_from,
    partition_key,
)
from models.errors import DataError, NotFound, StoreError
from models.tables import ORIGINS
from utils.paths import state_folder
from utils.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import duckdb

    from models.tables import Frame

__all__ = ["Lake", "LakeFile", "LakeSettings", "Partition"]

LEDGER = "_ledger"
"""Folder of what was stored and from where; no table begins with a line."""


class LakeSettings(Settings):
    """Where the lake lies.

    Attributes:
        lake: A folder, or s3://bucket/prefix; None: `lake` in the state folder.
        lake_s3_endpoint: Of another service than Amazon's.
        lake_s3_region: Of the bucket.
        lake_s3_access_key: None: as Amazon's own tools find it.
        lake_s3_secret_key: The same.
    """

    lake: str | None = None
    lake_s3_endpoint: str | None = None
    lake_s3_region: str = "us-east-1"
    lake_s3_access_key: SecretStr | None = Field(default=None)
    lake_s3_secret_key: SecretStr | None = Field(default=None)


@dataclass(frozen=True, slots=True)
class LakeFile:
    """One file of the lake.

    Attributes:
        table: Name of the table.
        underlying: Whose rows; `SHARED` where many share it.
        session: Of which exchange day.
        source: Who made them.
        origin: Where they come from.
    """

    table: str
    underlying: str
    session: date
    source: str
    origin: str

    @property
    def key(self) -> str:
        """Where it lies."""
        return partition_key(self.table, self.underlying, self.session, self.source, self.origin)

    @classmethod
    def of_key(cls, key: str) -> LakeFile | None:
        """Return what a key names, or None where it is no file of a table."""
        parts = key.split("/")
        if len(parts) != 4 or key.startswith("_") or not key.endswith(".parquet"):
            return None
        table, folder, session, name = parts
        underlying = folder.removeprefix("underlying=")
        if underlying == folder != SHARED:
            return None
        source, _, origin = name.removesuffix(".parquet").rpartition("-")
        try:
            day = date.fromisoformat(session.removeprefix("session="))
        except ValueError:
            return None
        return cls(table, underlying, day, source, origin)


class Lake:
    """Tables of market data in files. Threads may share it.

    Args:
        place: Where it lies.
        staging: Folder of this machine for files that are not published yet; None: in the lake
            itself, or, of one on S3, among the temporary files.
    """

    def __init__(self, place: Place, staging: Path | None = None) -> None:
        self.place = place
        own = place.folder / LEDGER if isinstance(place, LocalPlace) else state_folder("staging")
        self._staging = staging or own

    @classmethod
    def open(cls, named: str | Path | None = None) -> Lake:
        """Open the lake of a name, or the one that the settings name.

        Args:
            named: A folder, or s3://bucket/prefix.

        Raises:
            ConfigError: A setting is wrong.
        """
        settings = load(LakeSettings)
        name = str(named) if named else settings.lake
        if name and name.startswith("s3://"):
            return cls(
                S3Place(
                    name,
                    endpoint=settings.lake_s3_endpoint,
                    region=settings.lake_s3_region,
                    access_key=settings.lake_s3_access_key,
                    secret_key=settings.lake_s3_secret_key,
                )
            )
        return cls(LocalPlace(Path(name).expanduser() if name else state_folder("lake")))

    def replacing(self, partition: Partition, *, sharing: bool = False) -> PartitionWriter:
        """Return a writer that replaces partitions of one table and session.

        with lake.replacing(partition) as writer:
            writer.add("QQQ", rows)
            writer.publish()

        Args:
            partition: What is replaced.
            sharing: Whether the whole market comes: underlyings with few rows share a file.
        """
        return PartitionWriter(self.place, partition, self._staging, sharing=sharing)

    def replace(
        self,
        file: LakeFile,
        rows: Frame,
        *,
        sort_key: tuple[str, ...],
        made_from: str,
        detail: str = "",
    ) -> None:
        """Replace one file by these rows, safe from a power cut when it returns.

        Args:
            file: Which.
            rows: All that is to be in it.
            sort_key: Order of the rows.
            made_from: As in `clients.lake_writer.MADE_FROM`; rows of a more complete kind stay.
            detail: What is not as exact as in a flat file, for people.

        Raises:
            StoreError: The place does not take it.
        """
        partition = Partition(
            file.table, file.session, file.source, file.origin, made_from, sort_key, detail
        )
        with self.replacing(partition) as writer:
            writer.add(file.underlying, rows, is_last=True)
            writer.publish()
        self.place.secure(file.key)

    def made_from(self, file: LakeFile) -> str | None:
        """Return how the rows of a file's underlying were come by, those of a shared file too.

        Returns:
            As in `clients.lake_writer.MADE_FROM`; None where there are none.

        Raises:
            StoreError: The lake cannot be reached.
        """

        def key(underlying: str) -> str:
            return replace(file, underlying=underlying).key

        return made_from(self.place, key, file.underlying)

    def remove(self, file: LakeFile) -> None:
        """Remove one file; none is no error.

        Raises:
            StoreError: The place refuses.
        """
        self.place.remove(file.key)

    def files(
        self,
        table: str | None = None,
        underlyings: Sequence[str] = (),
        first: date | None = None,
        last: date | None = None,
    ) -> list[LakeFile]:
        """Return the files of a table, or of all, that match; sorted by their keys.

        Files that many share are among them where they have one of the underlyings.

        Raises:
            StoreError: The lake cannot be reached.
        """
        found = filter(None, map(LakeFile.of_key, self._keys(table, underlyings)))
        kept = [
            file
            for file in found
            if (first is None or file.session >= first) and (last is None or file.session <= last)
        ]
        if underlyings:
            own = set(kept)
            kept = [
                file
                for file in kept
                if file.underlying != SHARED
                or self.shared_by(file)
                & {name for name in underlyings if replace(file, underlying=name) not in own}
            ]
        return sorted(kept, key=lambda file: file.key)

    def shared_by(self, file: LakeFile) -> set[str]:
        """Return the underlyings of a file: the many that share it, or the one whose it is."""
        if file.underlying != SHARED:
            return {file.underlying}
        return set(self.place.metadata(file.key).get(UNDERLYINGS, "").split(","))

    def _keys(self, table: str | None, underlyings: Sequence[str]) -> Iterator[str]:
        if table is None:
            yield from self.place.keys("")
        elif not underlyings:
            yield from self.place.keys(table)
        else:
            for folder in (*(f"underlying={name}" for name in underlyings), SHARED):
                yield from self.place.keys(f"{table}/{folder}")

    def scan(
        self,
        table: str,
        *,
        underlyings: Sequence[str] = (),
        first: date | None = None,
        last: date | None = None,
        origin: str | None = None,
    ) -> pl.LazyFrame:
        """Return the rows that match, to be filtered further before they are read.

        Args:
            table: As option_bars_1m.
            underlyings: Some; none means all.
            first: First session.
            last: Last session.
            origin: live, simulator or recorded; None where only one is there.

        Returns:
            All columns of the files, and underlying and session.

        Raises:
            NotFound: There is no such file.
            DataError: Several origins match: they are never mixed.
            StoreError: The lake cannot be reached.
        """
        files = self.files(table, underlyings, first, last)
        if not files:
            what = ", ".join(underlyings) or "anything"
            raise NotFound(f"the lake has no {table} of {what}", provider="lake")
        rows = self._rows_of(self._one_origin(files, origin))
        return rows.filter(pl.col("underlying").is_in(underlyings)) if underlyings else rows

    def read(
        self,
        table: str,
        *,
        underlyings: Sequence[str] = (),
        first: date | None = None,
        last: date | None = None,
        origin: str | None = None,
    ) -> Frame:
        """Return the rows that match, as `scan`."""
        return self.scan(
            table, underlyings=underlyings, first=first, last=last, origin=origin
        ).collect()

    def chain_at(self, underlying: str, session: date, minute: object, **of: str | None) -> Frame:
        """Return the bars of every contract that traded in a minute.

        Args:
            underlying: Whose contracts.
            session: Exchange day.
            minute: Its start, an aware datetime.
            of: `origin`, as `scan`.
        """
        found = self.scan(
            "option_bars_1m",
            underlyings=[underlying],
            first=session,
            last=session,
            origin=of.get("origin"),
        )
        return found.filter(pl.col("ts") == minute).collect()

    def connect(self, origin: str | None = None) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB connection with a view of every table, of one origin.

        Raises:
            DataError: Several origins are there and none was named.
            StoreError: The lake is on S3, which DuckDB reads only with an extension that it
                downloads: `sql` works there too.
        """
        import duckdb  # noqa: PLC0415 - seldom needed

        if not isinstance(self.place, LocalPlace):
            raise StoreError("DuckDB reads a lake on this machine only: use Lake.sql for one on S3")
        files = self._one_origin(self.files(), origin)
        connection = duckdb.connect()
        for table in sorted({file.table for file in files}):
            own = [file for file in files if file.table == table]
            connection.execute(f'create view "{table}" as {self._view(table, own, connection)}')
        return connection

    def sql(
        self, query: str, origin: str | None = None
    ) -> tuple[list[str], list[tuple[object, ...]]]:
        """Return names of columns and rows of a query; each table of the lake is one of SQL.

        A lake on this machine is asked by DuckDB, one on S3 by Polars, whose SQL knows less.

        Raises:
            DataError: The query is wrong, or several origins are there and none was named.
        """
        if not isinstance(self.place, LocalPlace):
            return self._sql_of_polars(query, origin)
        import duckdb  # noqa: PLC0415 - as above

        connection = self.connect(origin)
        try:
            done = connection.execute(query)
            return [column[0] for column in done.description or ()], done.fetchall()
        except duckdb.Error as error:
            raise DataError(
                f"the query cannot be answered: {str(error).partition(chr(10))[0]}"
            ) from None
        finally:
            connection.close()

    def _sql_of_polars(
        self, query: str, origin: str | None
    ) -> tuple[list[str], list[tuple[object, ...]]]:
        files = self._one_origin(self.files(), origin)
        tables = {
            name: self._rows_of([file for file in files if file.table == name])
            for name in {file.table for file in files}
        }
        try:
            found = pl.SQLContext(tables).execute(query, eager=True)
        except pl.exceptions.PolarsError as error:
            raise DataError(f"the query cannot be answered: {error}") from None
        return found.columns, found.rows()

    def _view(
        self, table: str, files: Sequence[LakeFile], connection: duckdb.DuckDBPyConnection
    ) -> str:
        """Return the query of a table's view; a view takes no parameters, the names are ours."""
        own, shared = _parted(files)
        folder = str(self.place.shown).replace("'", "''")
        ending = f"session=*/*-{files[0].origin}.parquet', union_by_name = true, hive_partitioning = true"
        parts = []
        if own:
            types = "{'underlying': varchar, 'session': date}"
            parts.append(
                f"select * from read_parquet('{folder}/{table}/underlying=*/{ending}, "  # noqa: S608
                f"hive_types = {types})"
            )
        if shared:
            connection.register(f"_own_{table}", _names(own).to_arrow())
            parts.append(
                f"select * from read_parquet('{folder}/{table}/{SHARED}/{ending}, "  # noqa: S608
                f"hive_types = {{'session': date}}) anti join \"_own_{table}\" "
                "using (underlying, session, source, origin)"
            )
        return " union all by name ".join(parts)

    def _rows_of(self, files: Iterable[LakeFile]) -> pl.LazyFrame:
        own, shared = _parted(files)
        parts = [
            pl.scan_parquet(
                [self.place.url(file.key) for file in group],
                hive_partitioning=True,
                hive_schema=schema,
                missing_columns="insert",
                storage_options=self.place.options,
            )
            for group, schema in (
                (own, {"underlying": pl.String, "session": pl.Date}),
                (shared, {"session": pl.Date}),
            )
            if group
        ]
        if shared:
            keys = ["underlying", "session", "source", "origin"]
            parts[-1] = parts[-1].join(_names(own).lazy(), on=keys, how="anti")
        return pl.concat(parts, how="diagonal") if len(parts) > 1 else parts[0]

    @staticmethod
    def _one_origin(files: list[LakeFile], origin: str | None) -> list[LakeFile]:
        there = {file.origin for file in files}
        if origin is None and len(there) > 1:
            raise DataError(
                f"the lake has rows of several origins ({', '.join(sorted(there))}), which are never "
                "mixed: name one"
            )
        if origin is not None and origin not in ORIGINS:
            raise DataError(f"there is no origin {origin!r}: {', '.join(ORIGINS)}")
        return [file for file in files if origin in {None, file.origin}]


def _parted(files: Iterable[LakeFile]) -> tuple[list[LakeFile], list[LakeFile]]:
    """Return the files of one underlying each, and those that many share."""
    every = list(files)
    return (
        [file for file in every if file.underlying != SHARED],
        [file for file in every if file.underlying == SHARED],
    )


def _names(files: Iterable[LakeFile]) -> Frame:
    """Return whose files these are: what stands in the shared ones of the same is not read."""
    rows = [(file.underlying, file.session, file.source, file.origin) for file in files]
    schema = {
        "underlying": pl.String,
        "session": pl.Date,
        "source": pl.String,
        "origin": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


if __name__ == "__main__":
    from clients.lake_command import main

    sys.exit(main(sys.argv[1:]))
