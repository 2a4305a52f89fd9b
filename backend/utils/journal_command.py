"""Check a journal of trading from its first record to its last, or sign it as it stands.

`verify` changes nothing. It names the first record that was changed, dropped, moved or cut off, and
the byte at which it begins. Each line of a journal is one JSON object, for example for
`jq -c 'select(.record.type == "heard") | .record.update' FILE`.

`seal` signs the end of a journal as it is, for one whose end mark or key was lost: compare it with
the broker's list of orders first, since what was cut off before is not found afterwards.
"""

import argparse
import re
import sys
from pathlib import Path

from models.errors import ConfigError, JournalDamaged, TradingError
from utils.journal_chain import Checkpoint, Verdict, chain_of, compared, head_path, verify
from utils.journal_key import journal_key, key_path, read_key
from utils.transaction_logger import seal

OK, FAILED, USAGE = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        prog="python -m utils.transaction_logger",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit status: 0 good, 1 damaged, 2 wrong usage, or a file that cannot be used",
    )
    act = made.add_subparsers(dest="act", required=True, metavar="verify|seal")
    check = act.add_parser("verify", help="check chain and end mark")
    check.add_argument("file", type=Path, nargs="+", help="journals")
    check.add_argument(
        "--key", type=Path, help=f"file of the key (default: {key_path().name} in OPTIONS_HOME)"
    )
    check.add_argument(
        "--chain-only", action="store_true", help="do not check the end mark's signature"
    )
    check.add_argument(
        "--expect",
        type=_checkpoint,
        action="append",
        default=[],
        metavar="SEQ:HASH",
        help="a record's number and hash that were noted elsewhere, as in journal_checkpoints",
    )
    sign = act.add_parser("seal", help="sign what is there")
    sign.add_argument("file", type=Path, help="journal")
    return made


def _checkpoint(text: str) -> Checkpoint:
    found = re.fullmatch("([0-9]{1,15}):([0-9a-f]{64})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no SEQ:HASH: give 12:<64 digits>")
    return Checkpoint(int(found[1]), found[2])


def main() -> int:
    """Run the command; return the exit status."""
    asked = parser().parse_args()
    try:
        if asked.act == "seal":
            found = seal(asked.file, journal_key())
            print(f"{asked.file}: signed as it is, {found.records} records")  # noqa: T201 - a command
            return OK
        for path in asked.file:
            if not path.is_file():
                raise ConfigError(f"there is no journal {path}")
        key = None if asked.chain_only else read_key(asked.key or key_path())
        return max(_verified(path, key, asked.expect) for path in asked.file)
    except TradingError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command
        return FAILED if isinstance(error, JournalDamaged) else USAGE


def _verified(path: Path, key: bytes | None, expected: list[Checkpoint]) -> int:
    if key is None and not head_path(path).exists():  # as a backtest's: nothing to compare with
        data = path.read_bytes()
        found = compared(data, chain_of(data), expected)
    else:
        found = verify(path, key, expected)
    print(f"{path}: {_words(found, signed=key is not None)}")  # noqa: T201 - a command
    return OK if found.fault is None else FAILED


def _words(found: Verdict, *, signed: bool) -> str:
    if found.fault is not None:
        return (
            f"DAMAGED: record {found.fault.seq} at byte {found.fault.offset}: {found.fault.reason}; "
            f"{found.records} records before it are good"
        )
    torn = (
        f", then {found.torn_bytes} bytes of a record that was never finished"
        if found.torn_bytes
        else ""
    )
    end = "signed end mark" if signed else "end mark, if any, its signature not checked,"
    return f"good: {found.records} records{torn}; chain and {end} agree; newest {found.digest}"
