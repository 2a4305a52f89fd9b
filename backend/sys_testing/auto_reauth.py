"""Watch the seven days of the Schwab sign-in: warn 24, 6 and 1 hours ahead and at its end.

Warnings go to the addresses of SCHWAB_WARN_URLS (mail, Telegram, Discord, ntfy and many more, in
Apprise's notation); each is sent once. Where you have put your brokerage name and password into the
operating system's keyring (--store-credentials) and set SCHWAB_AUTO_SIGN_IN=true, a headless
Chromium signs in at each warning; it is off by default.

RISKS of automatic sign-in: any program that runs as you may read the keyring while it is unlocked,
and with your brokerage password comes all that the website can do, withdrawals included. Schwab may
not allow it, may lock the account, and mostly asks for a second factor, where this gives up and
warns you. The warnings alone have none of these risks.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from app import cli

if TYPE_CHECKING:
    from collections.abc import Callable

    from schwab_integration.config import SchwabSettings
    from schwab_integration.sign_in_settings import SignInSettings
    from schwab_integration.sign_in_watch import SignInWatch
    from schwab_integration.token_store import Token

_STATUS = {"healthy": cli.OK, "soon": cli.PARTIAL, "expired": cli.SIGN_IN}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="auto_reauth.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit status of --once: 0 healthy, 4 a sign-in is due within 24 hours, 3 sign in "
        "again, 2 wrong usage or setting, or a warning that cannot be sent; 130 interrupted",
    )
    act = made.add_mutually_exclusive_group()
    act.add_argument("--once", action="store_true", help="look once and end (for cron)")
    act.add_argument("--now", action="store_true", help="sign in with the browser at once")
    act.add_argument("--test", action="store_true", help="send a test warning")
    act.add_argument(
        "--store-credentials",
        action="store_true",
        help="ask for your brokerage name and password and put them into the keyring",
    )
    act.add_argument(
        "--forget-credentials", action="store_true", help="take them out of the keyring"
    )
    return made


def command(arguments: argparse.Namespace) -> int:
    """Do one of the things, or watch for ever."""
    from schwab_integration.config import SchwabSettings  # noqa: PLC0415 - `--help` answers at once
    from schwab_integration.sign_in_settings import SignInSettings  # noqa: PLC0415
    from utils.settings import load  # noqa: PLC0415

    if arguments.store_credentials:
        return _store()
    if arguments.forget_credentials:
        return _forget()
    schwab, own = load(SchwabSettings), load(SignInSettings)
    if arguments.test:
        return _test(own)
    schwab.credentials()
    if arguments.now:
        token = _browser(schwab, own)()
        print(f"Signed in until {token.refresh_expires_at.astimezone():%A %Y-%m-%d %H:%M}.")
        return cli.OK
    watch = _watch(schwab, own)
    return _once(watch) if arguments.once else _for_ever(watch)


def _watch(schwab: SchwabSettings, own: SignInSettings) -> SignInWatch:
    from schwab_integration.auth import token_store  # noqa: PLC0415 - as above
    from schwab_integration.sign_in_watch import SignInWatch  # noqa: PLC0415
    from utils.notifier import Notifier  # noqa: PLC0415

    addresses = own.addresses()
    if not addresses:
        print("SCHWAB_WARN_URLS is not set: warnings are printed here alone.", file=sys.stderr)
    renew = _browser(schwab, own) if own.auto_sign_in else None
    return SignInWatch(
        token_store(schwab), Notifier(addresses, "SCHWAB_WARN_URLS").send, renew=renew
    )


def _browser(schwab: SchwabSettings, own: SignInSettings) -> Callable[[], Token]:
    """Return what signs in; the switch and the keyring are looked at when it is used."""
    from models.errors import ConfigError  # noqa: PLC0415 - as above
    from schwab_integration.browser_sign_in import sign_in_with_browser  # noqa: PLC0415
    from schwab_integration.credentials import stored_credentials  # noqa: PLC0415

    def sign_in() -> Token:
        if not own.auto_sign_in:
            message = (
                "automatic sign-in is switched off: read the risks in auto_reauth.py --help, then "
                "set SCHWAB_AUTO_SIGN_IN=true"
            )
            raise ConfigError(message)
        return sign_in_with_browser(schwab, stored_credentials(), program=own.chromium)

    return sign_in


def _once(watch: SignInWatch) -> int:
    found = watch.look()
    print(found.sentence)
    return _STATUS[found.health]


def _for_ever(watch: SignInWatch) -> int:
    import time  # noqa: PLC0415 - as above

    from models.errors import ProviderError  # noqa: PLC0415

    last = ""
    while True:
        try:
            sentence = watch.look().sentence
        except ProviderError as error:  # the warning stays due
            sentence = str(error)
        if sentence != last:
            print(sentence, flush=True)
            last = sentence
        time.sleep(max(1.0, watch.wait_s()))


def _test(own: SignInSettings) -> int:
    from models.errors import ConfigError  # noqa: PLC0415 - as above
    from utils.notifier import Notifier  # noqa: PLC0415

    if not own.addresses():
        raise ConfigError("SCHWAB_WARN_URLS is not set: put addresses there, see .env.example")
    Notifier(own.addresses(), "SCHWAB_WARN_URLS").send(
        "Schwab: a test", "Warnings of the sign-in's end arrive here."
    )
    print(f"Sent to {len(own.addresses())} addresses.")
    return cli.OK


def _store() -> int:
    from getpass import getpass  # noqa: PLC0415 - as above

    from models.errors import ConfigError  # noqa: PLC0415
    from schwab_integration.credentials import Credentials, store_credentials  # noqa: PLC0415

    print(__doc__.partition("RISKS")[1] + __doc__.partition("RISKS")[2])
    asked = (input, getpass) if sys.stdin.isatty() else (_line, _line)
    user, password = asked[0]("User name: ").strip(), asked[1]("Password: ")
    if not (user and password):
        raise ConfigError("no name or no password was given: nothing was stored")
    name = store_credentials(Credentials(user, password))
    print(f"Stored in {name}. Set SCHWAB_AUTO_SIGN_IN=true to use them.")
    return cli.OK


def _line(_prompt: str) -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _forget() -> int:
    from schwab_integration.credentials import forget_credentials  # noqa: PLC0415 - as above

    print("Forgotten." if forget_credentials() else "The keyring held none.")
    return cli.OK


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
