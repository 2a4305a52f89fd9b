"""Bring a database to this program's schema: `python scripts/migrate.py [URL]`.

Without a URL it takes SUPABASE_DB_URL from the environment or `.env`, else the embedded database.
Where only a project's URL and key are known no tables can be made: `--print` writes the SQL text to
paste into the project's SQL editor.
"""

import argparse
import sys

from clients import embedded_postgres
from clients.migrations import migrate, paste_instructions, paste_script, pending
from clients.supabase_client import SupabaseSettings
from models.errors import TradingError
from utils.settings import load


def main(arguments: list[str] | None = None) -> int:
    """Migrate, and print what was done; return the exit status."""
    parser = argparse.ArgumentParser(description="Bring a database to this program's schema.")
    parser.add_argument("url", nargs="?", help="Postgres URL; its password is seen by `ps`")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--print", action="store_true", help="print the SQL text to paste instead")
    way.add_argument("--check", action="store_true", help="only list what is missing; status 1")
    given = parser.parse_args(arguments)
    try:
        if given.print:
            print(paste_script(), end="")
            return 0
        return _migrate(_database(given.url), check=given.check)
    except TradingError as error:
        print(error, file=sys.stderr)
        return 1


def _database(url: str | None) -> str | None:
    """Return the URL to migrate, or None when the settings name a REST interface alone."""
    settings = load(SupabaseSettings)
    if url:
        return url
    if settings.supabase_db_url:
        return settings.supabase_db_url.get_secret_value()
    if settings.supabase_url:
        print(paste_instructions(settings.supabase_url), file=sys.stderr)
        return None
    return embedded_postgres.start().dsn


def _migrate(url: str | None, *, check: bool) -> int:
    if url is None:
        return 1
    if check:
        missing = [f"{migration.version}_{migration.name}" for migration in pending(url)]
        print("\n".join(missing) or "nothing is missing")
        return 1 if missing else 0
    print("\n".join(f"applied {version}" for version in migrate(url)) or "nothing to do")
    return 0


if __name__ == "__main__":
    sys.exit(main())
