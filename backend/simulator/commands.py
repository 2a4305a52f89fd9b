"""The command line of `python -m simulator`: arguments, one-sentence errors, exit status."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import TradingError
from simulator import schwab_facts as facts
from simulator import trader_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulator.faults import Fault
    from simulator.server import Options
    from simulator.status import Status
    from simulator.world import Split

USAGE_ERROR = 2
INTERRUPTED = 130

_DEFAULT_PORT = 8700
_HIGHEST_PORT = 65535


def main(arguments: Sequence[str]) -> int:
    """Run the simulator, or a program against it.

    Args:
        arguments: Those after `python -m simulator`.

    Returns:
        Exit status: 0 after a signal (130 before it is ready); 2 for wrong arguments, a port in use
        or unreadable data; of `exec` the program's own.
    """
    if arguments and arguments[0] == "exec":
        return _exec(list(arguments[1:]))
    parsed = _server_parser().parse_args(arguments)
    return _in_one_sentence(lambda: _serve(parsed))


def _serve(parsed: argparse.Namespace) -> int:
    from simulator.server import serve  # noqa: PLC0415 - heavy: --help and typos do not wait

    def announce(status: Status) -> None:
        import msgspec  # noqa: PLC0415 - the same

        print(msgspec.json.encode({"event": "ready", **asdict(status)}).decode(), flush=True)

    asyncio.run(serve(_options(parsed), announce))
    return 0


def _exec(arguments: list[str]) -> int:
    own, dashes, command = arguments, "--" in arguments, list[str]()
    if dashes:
        place = arguments.index("--")
        own, command = arguments[:place], arguments[place + 1 :]
    parser = _exec_parser()
    parsed = parser.parse_args(own)
    if not command:
        parser.error("the program goes after --, as: python -m simulator exec -- python script.py")

    def run() -> int:
        from simulator.launch import run_against, run_with_own  # noqa: PLC0415 - as above

        if parsed.url:
            return run_against(parsed.url, command, by_proxy=parsed.proxy)
        return run_with_own(_options(parsed), command)

    return _in_one_sentence(run)


def _in_one_sentence(run: Callable[[], int]) -> int:
    try:
        return run()
    except TradingError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED


def _options(parsed: argparse.Namespace) -> Options:
    from simulator.server import Options  # noqa: PLC0415 - as above

    given = {name: value for name, value in vars(parsed).items() if name != "url"}
    if "login_page" in given:
        given["auto_approve"] = not given.pop("login_page")
        given["proxy_port"] = 0 if given.pop("proxy") else None
    given["faults"] = tuple(parsed.faults)
    given["callbacks"] = tuple(parsed.callbacks)
    given["splits"] = tuple(parsed.splits)
    given["world"] = parsed.world or ("recorded" if parsed.data else "generated")
    return Options(**given)


def _server_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="A simulated market on loopback that speaks Schwab's wire protocols. Prints "
        "one line of JSON when it is ready; ends on Ctrl-C.",
        epilog="To run a program that nobody changed against it: "
        "python -m simulator exec -- python script.py",
    )
    _add_options(parser, port=_DEFAULT_PORT)
    parser.add_argument(
        "--proxy-port",
        type=_port,
        help="of an HTTP CONNECT listener for programs in other languages, 0 for any free one "
        "(default: none)",
    )
    parser.add_argument(
        "--auto-approve",
        action="store_true",
        help="approve each sign-in of the demo user at once instead of showing the login page",
    )
    return parser


def _exec_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator exec",
        usage="%(prog)s [options] -- program [argument ...]",
        description="Run a program with Schwab's hosts redirected to a simulator, by environment "
        "alone; its exit status is the program's.",
    )
    parser.add_argument("--url", help="of a running simulator; else one is started for the program")
    _add_options(parser, port=0)
    parser.add_argument(
        "--proxy",
        action="store_true",
        help="lead the program by HTTPS_PROXY, whatever language it is in; it then reaches no other "
        "host at all",
    )
    parser.add_argument(
        "--login-page",
        action="store_true",
        help="show the login page to the program's browser instead of approving at once",
    )
    return parser


def _add_options(parser: argparse.ArgumentParser, *, port: int) -> None:
    parser.add_argument(
        "--port", type=_port, default=port, help="of HTTP, 0 for any free one (%(default)s)"
    )
    parser.add_argument(
        "--https-port", type=_port, help="default: the next after --port, or any free one with 0"
    )
    parser.add_argument(
        "--clock",
        help="market time at the start: now, or New York time as 2015-12-24T09:30 "
        "(default: now while the market is open, else the last complete session from its open)",
    )
    parser.add_argument(
        "--speed", type=_speed, default=1.0, help="market seconds a second, 0 stands still (1)"
    )
    parser.add_argument(
        "--held", action="store_true", help="the market stands until somebody streams quotes"
    )
    parser.add_argument("--seed", type=int, default=7, help="of the generated world (7)")
    parser.add_argument(
        "--split",
        dest="splits",
        type=_split,
        action="append",
        default=[],
        metavar="TICKER:EX-DATE:NEW:OLD",
        help="split a ticker of the generated world, as QQQ:2026-11-18:4:1; may be given again",
    )
    parser.add_argument(
        "--data", type=Path, help="folder of recorded sessions (those that come with the product)"
    )
    parser.add_argument(
        "--world",
        choices=("generated", "recorded"),
        help="any ticker from a seed, or real sessions from files (generated; with --data recorded)",
    )
    parser.add_argument(
        "--requests-per-minute",
        type=_count,
        default=facts.REQUESTS_PER_MINUTE,
        help="market-data calls an app, 0 for no limit (%(default)s)",
    )
    parser.add_argument(
        "--orders-per-minute",
        type=_registered_limit,
        default=trader_facts.ORDER_REQUESTS_PER_MINUTE,
        help="order requests an account as the app was registered, 0 to 120, or none for no limit "
        "(%(default)s)",
    )
    parser.add_argument(
        "--without-trader-product",
        dest="trader_product",
        action="store_false",
        help="the app may not use the Trader API: every call of it is answered 401",
    )
    parser.add_argument(
        "--rotate-refresh-tokens",
        action="store_true",
        help="each refresh gives a new refresh token and ends the old one",
    )
    parser.add_argument(
        "--fault",
        dest="faults",
        type=_fault,
        action="append",
        default=[],
        metavar="SPEC",
        help="what goes wrong, TARGET:FAULT[:NAME=VALUE,...], as schwab.trader.place:reset:rate=0.05; may be repeated",
    )
    parser.add_argument(
        "--fault-seed", type=int, default=0, help="of the faults that have a rate (0)"
    )
    parser.add_argument(
        "--callback",
        action="append",
        type=_callback,
        default=[],
        dest="callbacks",
        metavar="URL",
        help="registers one more callback of the demo app, https://...; may be repeated",
    )
    parser.add_argument("--parent-pid", type=_pid, help="end when this process is gone")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{port} is not a port: 0 to {_HIGHEST_PORT}")
    return port


def _fault(text: str) -> Fault:
    from simulator.faults import parse_fault  # noqa: PLC0415 - msgspec is not needed for --help

    try:
        return parse_fault(text)
    except TradingError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _split(text: str) -> tuple[str, Split]:
    from simulator.split_world import parse_split  # noqa: PLC0415 - as above

    try:
        return parse_split(text)
    except TradingError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 <= speed < math.inf:
        raise argparse.ArgumentTypeError(f"{text} must be 0 (frozen) or a positive number")
    return speed


def _callback(text: str) -> str:
    if not text.startswith("https://") or len(text) > 255:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} must begin with https://")
    return text


def _pid(text: str) -> int:
    pid = int(text)
    if pid < 1:
        raise argparse.ArgumentTypeError(f"{pid} is no process")
    return pid


def _registered_limit(text: str) -> int | None:
    if text == "none":
        return None
    limit = int(text)
    if not 0 <= limit <= trader_facts.ORDER_REQUESTS_PER_MINUTE:
        raise argparse.ArgumentTypeError(f"{text} must be 0 to 120, or none")
    return limit


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError(f"{count} is negative")
    return count
