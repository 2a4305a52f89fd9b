"""The outermost edge of every command: arguments, one sentence for each error, exit status.

Exit status: 0 done, 1 failed, 2 wrong usage or input (a service or database that cannot be used
included), 3 a person must sign in again, 4 done, but some of the data is not to be had,
130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from models.errors import (
    AuthError,
    BadSymbol,
    ConfigError,
    JournalDamaged,
    NotEntitled,
    NotFound,
    StoreError,
    TokenExpired,
    TradingError,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OK, FAILED, USAGE, SIGN_IN, PARTIAL, INTERRUPTED = 0, 1, 2, 3, 4, 130

EXIT_STATUS = (
    "exit status: 0 done, 1 failed, 2 wrong usage or input, 3 sign in again, 4 some data is "
    "missing, 130 interrupted"
)
"""For the end of `--help`."""

_USAGE_ERRORS = (AuthError, BadSymbol, ConfigError, NotEntitled, NotFound, StoreError, Unavailable)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave with the status of wrong usage."""
        self.exit(USAGE, f"{self.prog}: {message} (see --help)\n")


def exit_status(error: TradingError) -> int:
    """Return the exit status that an error of ours means."""
    if isinstance(error, TokenExpired):
        return SIGN_IN
    if isinstance(error, JournalDamaged):
        return FAILED
    return USAGE if isinstance(error, _USAGE_ERRORS) else FAILED


def run(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], int],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse arguments, run a command, and turn whatever it raises into a sentence and a status.

    Args:
        parser: Of the command; gets `--debug`, which also shows what is logged on the way.
        command: Takes the arguments and returns an exit status.
        arguments: Those of the process when None.
    """
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    parsed = parser.parse_args(arguments)
    _send_logs_to_stderr(verbose=parsed.debug)
    try:
        status = command(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _said("interrupted: what is stored is whole, the next run continues", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not try to flush it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001 - the one place: a person gets a sentence, no trace
        if parsed.debug:
            _show_trace()
        return _said(*_sentence(error))
    return status


def _send_logs_to_stderr(*, verbose: bool) -> None:
    from utils import logs  # noqa: PLC0415 - `--help` answers before it

    logs.configure(level="INFO" if verbose else "WARNING")


def log_as_json() -> None:
    """Send what is logged to standard error as JSON lines, INFO included."""
    from utils import logs  # noqa: PLC0415 - `--help` answers before it

    logs.configure(level="INFO", json=True)


def _sentence(error: Exception) -> tuple[str, int]:
    if isinstance(error, TradingError):
        return str(error), exit_status(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}", USAGE
    from pydantic import ValidationError  # noqa: PLC0415 - `--help` answers before it

    from models.base import sentence  # noqa: PLC0415 - the same

    if isinstance(error, ValidationError):
        return sentence(error), FAILED
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)", FAILED


def _said(sentence: str, status: int) -> int:
    from utils.logs import redact  # noqa: PLC0415 - only where something went wrong

    print(redact(" ".join(sentence.split())), file=sys.stderr)
    return status


def _show_trace() -> None:
    import traceback  # noqa: PLC0415 - only where something went wrong

    from utils.logs import redact  # noqa: PLC0415 - the same

    print(redact(traceback.format_exc()), file=sys.stderr)
