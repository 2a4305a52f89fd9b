"""Exit status and the one sentence of each error."""

from __future__ import annotations

import argparse
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from app import cli
from models import errors
from models.order_terms import Side
from models.trading import Leg

if TYPE_CHECKING:
    from collections.abc import Callable


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def command(_arguments: argparse.Namespace) -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ConfigError("X_KEY is not set"), 2),
        (errors.TokenExpired("sign in"), 3),
        (errors.AuthError("refused"), 2),
        (errors.NotFound("no such ticker", provider="schwab"), 2),
        (errors.NotEntitled("not yours", provider="schwab"), 2),
        (errors.Unavailable("away", provider="schwab"), 2),
        (errors.BadSymbol("no symbol"), 2),
        (errors.StoreError("the disk is full"), 2),
        (errors.SchemaMissing("newer", migration="2"), 2),
        (errors.RateLimited("slowly", provider="schwab"), 1),
        (errors.BadReply("nonsense", provider="schwab", field="x"), 1),
        (errors.DataError("odd"), 1),
        (OSError(28, "No space left on device", "/data/x"), 2),
        (ZeroDivisionError("by zero"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_is_one_sentence_with_its_status(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(argparse.ArgumentParser(), raising(error), []) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert "Traceback" not in shown.err


def test_a_value_that_no_model_takes_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def command(_arguments: argparse.Namespace) -> int:
        Leg(symbol="QQQ", side=Side.BUY, quantity=Decimal(0))
        return 0

    assert cli.run(argparse.ArgumentParser(), command, []) == 1
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert "Leg.quantity: Input should be greater than 0" in shown[0]


def test_every_error_of_ours_has_a_status() -> None:
    kinds = [errors.TradingError]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        error = kind.__new__(kind)
        assert cli.exit_status(error) in {1, 2, 3}


def test_debug_shows_the_trace(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.ConfigError("wrong")
    assert cli.run(argparse.ArgumentParser(), raising(error), ["--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_secret_in_an_error_is_blotted_out(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.StoreError("postgresql://me:hunter2@host/db is away")
    cli.run(argparse.ArgumentParser(), raising(error), ["--debug"])
    assert "hunter2" not in capsys.readouterr().err


def test_usage_errors_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.run(cli.Parser(prog="x.py"), lambda _: 0, ["--what"])
    assert left.value.code == 2
    assert capsys.readouterr().err == "x.py: unrecognized arguments: --what (see --help)\n"
