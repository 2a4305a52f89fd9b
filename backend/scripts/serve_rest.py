"""Serve the embedded database as a Supabase project on this machine: `python scripts/serve_rest.py`.

It prints SUPABASE_URL and SUPABASE_KEY and answers on loopback until it is interrupted, so that
other programs written for Supabase can be tried without a project. Needs the development extras:
PostgREST is one of the test tools.
"""

import argparse
import signal
import sys
from contextlib import suppress

from clients import embedded_postgres
from clients.local_rest import LocalRest, make_roles
from clients.migrations import migrate
from models.errors import TradingError
from scripts.install_test_tools import install


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit status."""
    parser = argparse.ArgumentParser(description="Serve the embedded database over REST.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1, 0 takes a free one")
    port = parser.parse_args(arguments).port
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        dsn = embedded_postgres.start().dsn
        make_roles(dsn)
        migrate(dsn)
        with suppress(KeyboardInterrupt), LocalRest(dsn, install().postgrest, port=port) as rest:
            print(f"SUPABASE_URL={rest.url}\nSUPABASE_KEY={rest.secret_key}", flush=True)
            signal.pause()
    except TradingError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
