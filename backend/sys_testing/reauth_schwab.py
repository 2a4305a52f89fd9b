"""Sign in at Schwab: open the printed address in a browser, paste the one it ends at.

Schwab asks for this every seven days. The tokens go into the token file (mode 0600), where every
command finds them.
"""

import argparse
import secrets
import sys

from app import cli


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    return cli.Parser(prog="reauth_schwab.py", description=__doc__, epilog=f"{cli.EXIT_STATUS}")


def command(_arguments: argparse.Namespace) -> int:
    """Print the sign-in page's address, read the redirect, store the tokens."""
    from models.errors import AuthError  # noqa: PLC0415 - `--help` answers at once
    from schwab_integration.auth import (  # noqa: PLC0415
        authorization_url,
        code_of_redirect,
        exchange_code,
    )
    from schwab_integration.config import SchwabSettings  # noqa: PLC0415
    from utils.settings import load  # noqa: PLC0415

    settings = load(SchwabSettings)
    state = secrets.token_urlsafe(16)
    address = authorization_url(settings, state=state)
    print(f"1. Open this address in a browser and sign in:\n\n   {address}\n")
    print("2. The browser ends at a page that cannot be shown; copy its whole address.")
    print("   (It is good for about 30 seconds.)\n")
    print("3. Paste it here: ", end="", flush=True)
    pasted = sys.stdin.readline()
    if not pasted.strip():
        raise AuthError("no address was pasted: run the command again")
    token = exchange_code(settings, code_of_redirect(pasted, state=state))
    until = token.refresh_expires_at.astimezone()
    print(f"\nSigned in until {until:%A %Y-%m-%d %H:%M}. Tokens: {settings.token_path()}")
    return cli.OK


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
