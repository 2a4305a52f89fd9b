"""Where a lake lies: a folder of this machine, or a prefix of an S3 bucket.

Either gives the same few verbs. What is published appears whole under its name or not at all: a
folder by a rename inside it, S3 because an object is put as one.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import obstore
import polars as pl
from obstore.exceptions import BaseError
from obstore.store import S3Store

from models.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import SecretStr


class Place(Protocol):
    """Files of a lake by their keys, which have slashes."""

    @property
    def shown(self) -> str:
        """The place for people, without secrets."""
        ...

    @property
    def options(self) -> dict[str, str] | None:
        """What Polars needs to read from here."""
        ...

    def url(self, key: str) -> str:
        """Return what Polars reads a file by."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys below a folder, in any order."""
        ...

    def folders(self, prefix: str) -> frozenset[str]:
        """Return the names of the folders right below one."""
        ...

    def exists(self, key: str) -> bool:
        """Return whether there is a file."""
        ...

    def metadata(self, key: str) -> dict[str, str]:
        """Return what a Parquet file says of itself."""
        ...

    def read(self, key: str) -> bytes | None:
        """Return a small file, or None where there is none."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Publish a small file."""
        ...

    def remove(self, key: str) -> None:
        """Remove a file; none is no error."""
        ...

    def prepare(self, key: str) -> None:
        """Make the folders of a file that will be published."""
        ...

    def publish(self, staged: Path, key: str) -> None:
        """Publish a staged file; it is gone afterwards."""
        ...

    def settle(self) -> None:
        """Return when what was published survives a power cut."""
        ...

    def secure(self, key: str) -> None:
        """Return when one published file survives a power cut."""
        ...


class LocalPlace:
    """A folder.

    Args:
        folder: Made when something is published.
    """

    options = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shown = str(folder)

    def url(self, key: str) -> str:
        """Return the file's path."""
        return str(self.folder / key)

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys below a folder, sorted."""
        root = self.folder / prefix
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self.folder).as_posix()

    def folders(self, prefix: str) -> frozenset[str]:
        """Return the names of the folders right below one."""
        with suppress(FileNotFoundError), os.scandir(self.folder / prefix) as found:
            return frozenset(each.name for each in found if each.is_dir())
        return frozenset()

    def metadata(self, key: str) -> dict[str, str]:
        """Return what a Parquet file says of itself."""
        return pl.read_parquet_metadata(self.folder / key)

    def exists(self, key: str) -> bool:
        """Return whether there is a file."""
        return (self.folder / key).exists()

    def read(self, key: str) -> bytes | None:
        """Return a small file, or None where there is none."""
        try:
            return (self.folder / key).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, key: str, content: bytes) -> None:
        """Publish a small file."""
        staged = self.folder / f"{key}.{os.getpid()}.tmp"
        staged = staged.with_name(f".{staged.name}")
        try:
            staged.parent.mkdir(parents=True, exist_ok=True)
            with staged.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self.publish(staged, key)
        except OSError as error:
            with suppress(OSError):
                staged.unlink()
            raise disk_error(error, self.shown) from None

    def remove(self, key: str) -> None:
        """Remove a file; none is no error."""
        try:
            (self.folder / key).unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(error, self.shown) from None

    def prepare(self, key: str) -> None:
        """Make the folders of a file."""
        try:
            (self.folder / key).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(error, self.shown) from None

    def publish(self, staged: Path, key: str) -> None:
        """Publish a staged file by renaming it, or by a copy beside it from another disk."""
        goal = self.folder / key
        try:
            try:
                staged.replace(goal)
            except FileNotFoundError:
                goal.parent.mkdir(parents=True, exist_ok=True)
                staged.replace(goal)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                beside = goal.with_name(f".{goal.name}.{os.getpid()}.tmp")
                shutil.copyfile(staged, beside)
                beside.replace(goal)
                staged.unlink()
        except OSError as error:
            raise disk_error(error, self.shown) from None

    def settle(self) -> None:
        """Let the system write what it holds back: once, and not for each of thousands of files."""
        os.sync()

    def secure(self, key: str) -> None:
        """Let the system write one file and its name."""
        path = self.folder / key
        try:
            for each in (path, path.parent):
                opened = os.open(each, os.O_RDONLY)
                try:
                    os.fsync(opened)
                finally:
                    os.close(opened)
        except OSError as error:
            raise disk_error(error, self.shown) from None


class S3Place:
    """A prefix of a bucket.

    Args:
        url: As s3://bucket/prefix.
        endpoint: Of the service; None for Amazon's.
        region: Of the bucket.
        access_key: None reads the environment, as Amazon's own tools do.
        secret_key: The same.
    """

    def __init__(
        self,
        url: str,
        *,
        endpoint: str | None,
        region: str,
        access_key: SecretStr | None,
        secret_key: SecretStr | None,
    ) -> None:
        parts = urlsplit(url)
        if not parts.netloc:
            raise ConfigError(f"LAKE={url} names no bucket: write s3://bucket/prefix")
        self._prefix = parts.path.strip("/")
        self._base = f"s3://{parts.netloc}"
        self.shown = url
        given = {
            "region": region,
            "endpoint": endpoint,
            "access_key_id": access_key and access_key.get_secret_value(),
            "secret_access_key": secret_key and secret_key.get_secret_value(),
        }
        own = {name: text for name, text in given.items() if text}
        plain = bool(endpoint and endpoint.startswith("http:"))
        self._store = S3Store(
            parts.netloc,
            virtual_hosted_style_request=not endpoint,
            client_options={"allow_http": plain},
            **own,  # type: ignore[arg-type]
        )
        self.options: dict[str, str] | None = {
            **{f"aws_{name}": text for name, text in own.items() if name != "endpoint"},
            **({"aws_endpoint_url": endpoint} if endpoint else {}),
            "aws_allow_http": str(plain).lower(),
        }

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def url(self, key: str) -> str:
        """Return the object's URL."""
        return f"{self._base}/{self._key(key)}"

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys below a folder."""
        cut = len(self._prefix) + 1 if self._prefix else 0
        with _translated(self.shown):
            for page in obstore.list(self._store, prefix=self._key(prefix)):
                for found in page:
                    yield found["path"][cut:]

    def folders(self, prefix: str) -> frozenset[str]:
        """Return the names of the folders right below one."""
        with _translated(self.shown):
            found = obstore.list_with_delimiter(self._store, prefix=self._key(prefix))
        return frozenset(name.rpartition("/")[2] for name in found["common_prefixes"])

    def metadata(self, key: str) -> dict[str, str]:
        """Return what a Parquet file says of itself."""
        return pl.read_parquet_metadata(self.url(key), storage_options=self.options)

    def exists(self, key: str) -> bool:
        """Return whether there is an object."""
        with _translated(self.shown):
            try:
                obstore.head(self._store, self._key(key))
            except FileNotFoundError:
                return False
        return True

    def read(self, key: str) -> bytes | None:
        """Return a small object, or None where there is none."""
        with _translated(self.shown):
            try:
                return bytes(obstore.get(self._store, self._key(key)).bytes())
            except FileNotFoundError:
                return None

    def write(self, key: str, content: bytes) -> None:
        """Put a small object."""
        with _translated(self.shown):
            obstore.put(self._store, self._key(key), content)

    def remove(self, key: str) -> None:
        """Remove an object; none is no error."""
        with suppress(FileNotFoundError), _translated(self.shown):
            obstore.delete(self._store, self._key(key))

    def prepare(self, key: str) -> None:
        """Do nothing: S3 has no folders."""

    def publish(self, staged: Path, key: str) -> None:
        """Put a staged file, in parts when it is large; it appears when it is complete."""
        with _translated(self.shown):
            obstore.put(self._store, self._key(key), staged)
        staged.unlink()

    def settle(self) -> None:
        """Do nothing: what S3 has answered for is safe."""

    def secure(self, key: str) -> None:
        """Do nothing, for the same reason."""


class _translated:  # noqa: N801 - used as a function
    """Turns the library's errors into ours."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BaseError) and not isinstance(error, FileNotFoundError):
            raise StoreError(
                f"the lake at {self._place} cannot be used ({type(error).__name__}): look at its "
                "address and keys (LAKE_S3_...)"
            ) from None


def disk_error(error: OSError, place: str) -> StoreError:
    """Return the sentence for a disk that does not take what is written."""
    why = (
        "the disk is full"
        if error.errno in {errno.ENOSPC, errno.EDQUOT} or "No space left" in str(error)
        else error.strerror or str(error)
    )
    return StoreError(f"the lake at {place} cannot be written: {why}; what is stored is whole")
