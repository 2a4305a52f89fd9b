"""Sign in at Schwab, as it asks for every seven days.

Opens the sign-in page in a browser and receives the redirect on this machine, or takes the address
that the browser ends at, pasted. The tokens go into the token file (mode 0600), where every command
finds them.
"""

import argparse
import sys

from app import cli


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(prog="reauth_schwab.py", description=__doc__, epilog=f"{cli.EXIT_STATUS}")
    add = made.add_argument
    add("--no-browser", action="store_true", help="print the address and open nothing")
    add(
        "--paste",
        action="store_true",
        help="on a machine without a browser: neither open one nor listen, only take the pasted "
        "address",
    )
    add(
        "--minutes",
        type=float,
        default=10.0,
        metavar="N",
        help="how long to wait for you (default: %(default)g)",
    )
    return made


def command(arguments: argparse.Namespace) -> int:
    """Lead a person through the sign-in."""
    from schwab_integration.config import SchwabSettings  # noqa: PLC0415 - `--help` answers at once
    from schwab_integration.sign_in import Ways, sign_in  # noqa: PLC0415
    from utils.settings import load  # noqa: PLC0415

    settings = load(SchwabSettings)
    ways = Ways(
        browser=not (arguments.no_browser or arguments.paste),
        listen=not arguments.paste,
        typed=sys.stdin,
        patience_s=arguments.minutes * 60,
    )
    token = sign_in(settings, ways, lambda text: print(text, flush=True))
    until = token.refresh_expires_at.astimezone()
    print(f"\nSigned in until {until:%A %Y-%m-%d %H:%M}. Tokens: {settings.token_path()}")
    return cli.OK


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
