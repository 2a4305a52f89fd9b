"""Trade a strategy on paper, or test it on stored data: one engine, one risk gate, one journal."""

import argparse
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path

from app import cli, request

_EPILOG = f"""\
Live orders need --mode live, --i-understand-live-orders, and --limits with a file that was signed
off before by --sign-limits. Without --i-understand-live-orders live mode is a dry run: each order is
previewed, and none is sent.

--kill stops trading of all accounts at once, or of --account NAME, whatever a strategy is doing; it
stays so until --resume-trading.

Without a Schwab sign-in the market is a simulator of our own, which plays the end of the last
session many times as fast as the clock; each order, fill and position says its account and mode.

{cli.EXIT_STATUS}
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="trading_main.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--mode", choices=("paper", "backtest", "live"), default="paper", help="default: paper")
    add("--ticker", type=request.ticker, default="QQQ", help="underlying (default: QQQ)")
    add("--strategy", default="zero_dte_iron_condor", help="name, or the path of a .py file")
    add("--param", action="append", default=[], metavar="NAME=VALUE", help="of the strategy")
    add("--params", type=Path, metavar="FILE", help="parameters of the strategy, YAML")
    add("--limits", type=Path, metavar="FILE", help="risk limits, YAML")
    add("--account", type=_name, help="name of a paper account; of a live one the hash or its end")
    add("--cash", type=_usd, default=Decimal(100_000), help="in a new account (default: 100000)")
    add(
        "--package-fills",
        choices=("natural", "between"),
        default="natural",
        help="on paper and in backtests: packages pay "
        "the natural price (default), or one between it and the middle by legs and width",
    )
    add(
        "--one-sided",
        choices=("limits", "never"),
        default="limits",
        help="the same: limit orders trade with the one side that a quote has, or never (limits)",
    )
    add(
        "--latency-ms",
        type=_latency,
        default=250,
        help="the same: from an order to the venue (250)",
    )
    add("--source", choices=("auto", "schwab", "simulator"), default="auto", help="of the market")
    add("--clock", type=request.moment, help="where a simulator begins, as 2026-11-20T15:00")
    add("--speed", type=float, help="market seconds a wall second of a simulator")
    add("--seed", type=int, help="of the simulator's generated world")
    add("--start", type=request.day, help="first day of a backtest, as 2015-12-24")
    add("--end", type=request.day, help="last day (default: the first)")
    add("--spread", type=_spread, default=0.02, help="of an underlying in a backtest, USD (0.02)")
    add("--out", type=Path, metavar="FOLDER", help="of a backtest's report")
    add("--i-understand-live-orders", action="store_true", help="let real orders leave")
    add("--sign-limits", type=Path, metavar="FILE", help="sign a file of risk limits off, and end")
    add(
        "--accept-holdings",
        action="store_true",
        help="take what the live account holds beside ours, and its cash, as given",
    )
    add("--kill", action="store_true", help="stop trading: nothing leaves, what works is cancelled")
    add("--flatten", action="store_true", help="with --kill: close what is held, too")
    add("--kill-state", action="store_true", help="say whether trading is stopped, and end")
    add("--resume-trading", action="store_true", help="let trading go on after --kill")
    add(
        "--resolve",
        action="append",
        default=[],
        metavar="ORDER=ID",
        help="say which order at the broker an unknown one of ours is, or none",
    )
    add("--record", type=Path, metavar="FILE", help="record a live session, event by event")
    add(
        "--replay",
        type=Path,
        metavar="FILE",
        help="play a recorded session again (paper, backtest)",
    )
    add("--json", action="store_true", help="one JSON object at the end instead of tables")
    return made


def _name(text: str) -> str:
    if not text.replace("-", "").isalnum() or not text.strip("-"):
        raise argparse.ArgumentTypeError(f"{text!r} is no name: give letters, digits and hyphens")
    return text


def _usd(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not 0 < amount <= 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} USD cannot be: give 1 to 1000000000")
    return amount


def _latency(text: str) -> int:
    if not text.isdigit() or int(text) > 60_000:
        raise argparse.ArgumentTypeError(f"{text!r} ms is no latency: give 0 to 60000")
    return int(text)


def _spread(text: str) -> float:
    try:
        spread = float(text)
    except ValueError:
        spread = -1.0
    if not 0 <= spread <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} USD is no spread: give 0 to 100")
    return spread


def _switch(arguments: argparse.Namespace) -> int:
    """Throw the kill switch, tell its state, or let trading go on; return the exit status."""
    if arguments.kill:
        from app import kill_command  # noqa: PLC0415 - `--help` answers at once

        return kill_command.run_kill(arguments.account, flatten=arguments.flatten)
    from app import kill_switch  # noqa: PLC0415 - the light half

    run = kill_switch.run_resume if arguments.resume_trading else kill_switch.run_state
    return run(arguments.account)


def command(arguments: argparse.Namespace) -> int:
    """Run the session that the arguments name; return the exit status."""
    if arguments.kill or arguments.kill_state or arguments.resume_trading:
        return _switch(arguments)

    from app import live_command, trading_command  # noqa: PLC0415 - `--help` and wrong usage answer at once
    from app.trading_feed import FeedAsked  # noqa: PLC0415 - the same
    from app.trading_session import PaperAsked, paper_rules  # noqa: PLC0415 - the same
    from models.errors import ConfigError  # noqa: PLC0415 - the same
    from models.order_terms import Mode  # noqa: PLC0415 - the same

    if arguments.sign_limits:
        return trading_command.run_sign_off(arguments.sign_limits)
    mode = Mode(arguments.mode)
    if arguments.replay:
        return live_command.run_replay(arguments.replay, mode, as_json=arguments.json)
    if arguments.record and mode is not Mode.LIVE:
        raise ConfigError("--record is for sessions whose orders go to a broker: --mode live")
    asked = trading_command.TradingAsked(
        ticker=arguments.ticker,
        strategy=arguments.strategy,
        pairs=tuple(arguments.param),
        parameters=arguments.params,
        limits=arguments.limits,
        paper=PaperAsked(
            arguments.account,
            arguments.cash,
            paper_rules(
                between=arguments.package_fills == "between",
                latency_ms=arguments.latency_ms,
                one_sided_limits=arguments.one_sided == "limits",
            ),
            arguments.limits,
        ),
        live=trading_command.LiveWish(
            arguments.i_understand_live_orders, arguments.accept_holdings
        ),
        feed=FeedAsked(arguments.source, arguments.clock, arguments.speed, arguments.seed),
        json=arguments.json,
    )
    if mode is Mode.BACKTEST:
        from app import backtest_command  # noqa: PLC0415 - its page's tools are for it alone

        days = backtest_command.BacktestAsked(
            arguments.start, arguments.end, arguments.spread, arguments.out
        )
        return backtest_command.run_backtest_command(asked, days)
    if mode is Mode.LIVE:
        return live_command.run_live(asked, arguments.record, arguments.resolve)
    return trading_command.run_paper(asked)


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
