"""Judge files of recorded market data by every quality rule, and compare with what was found before.

The counts that were found are kept in tests/data/quality_counts.json and as a table in
docs/quality.md, where each is explained; --record writes both anew.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from app import cli
from models.errors import ConfigError
from utils.paths import backend_folder

_START, _END = "<!-- counts: judge_recorded_data.py -->", "<!-- end of counts -->"


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = cli.Parser(
        prog="judge_recorded_data.py",
        description=__doc__,
        epilog=f"{cli.EXIT_STATUS}; 1 where a count is another than the recorded one",
    )
    made.add_argument("folder", type=Path, help="files of market data, in folders of any depth")
    made.add_argument("--record", action="store_true", help="write the counts down as they are now")
    return made


def command(arguments: argparse.Namespace) -> int:
    """Judge the files, print what was found; return the exit status."""
    from app.recorded_judgement import judge_folder  # noqa: PLC0415 - `--help` answers at once

    if not arguments.folder.is_dir():
        raise ConfigError(f"{arguments.folder} is no folder: name one that holds recorded files")
    found = judge_folder(arguments.folder)
    if not found:
        raise ConfigError(f"{arguments.folder} holds no file of recorded market data")
    counts_file = backend_folder() / "tests" / "data" / "quality_counts.json"
    recorded: dict[str, dict[str, int]] = json.loads(counts_file.read_text(encoding="utf-8"))
    differing = 0
    for each in found:
        same = recorded.get(each.name) == each.counts
        differing += not same
        told = ", ".join(f"{rule} {count:,}" for rule, count in each.counts.items()) or "nothing"
        note = "" if same else f"   (recorded: {recorded.get(each.name, 'nothing yet')})"
        print(f"{each.name}: {each.rows:,} rows: {told}{note}")
    if arguments.record:
        recorded |= {each.name: each.counts for each in found}
        text = json.dumps(dict(sorted(recorded.items())), indent=1)
        counts_file.write_text(text + "\n", encoding="utf-8")
        lines = ["| file | rows | found |", "|---|---|---|"]
        for each in found:
            told = ", ".join(f"{rule} {n:,}" for rule, n in each.counts.items()) or "nothing"
            lines.append(f"| `{each.name}` | {each.rows:,} | {told} |")
        page = backend_folder().parent / "docs" / "quality.md"
        old = page.read_text(encoding="utf-8")
        block = "\n".join([_START, "", *lines, "", _END])
        pattern = re.escape(_START) + ".*?" + re.escape(_END)
        page.write_text(re.sub(pattern, lambda _: block, old, flags=re.DOTALL), encoding="utf-8")
        print(f"recorded in {counts_file.name} and docs/{page.name}")
        return cli.OK
    print(f"{differing} of {len(found)} files differ from what is recorded")
    return cli.FAILED if differing else cli.OK


if __name__ == "__main__":
    sys.exit(cli.run(parser(), command))
