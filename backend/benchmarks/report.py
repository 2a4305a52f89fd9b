"""Run every benchmark and write `docs/benchmarks.md`: what each printed, with machine and versions.

Usage: `make bench`, or `python benchmarks/report.py [NAME ...]` for some of them.
"""

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER.parents[1] / "docs" / "benchmarks.md"
NOT_A_BENCHMARK = {"report"}
LIBRARIES = ("numpy", "numba", "polars", "psycopg", "msgspec", "orjson", "pandas", "isal")
PEERS = (
    "fast-vollib",
    "vollib",
    "pyvolr",
    "polars-vol",
    "QuantLib",
    "scipy",
    "mpmath",
    "schwab-py",
    "massive",
)


def names() -> list[str]:
    """Return the benchmarks, in alphabetical order: the scripts that parse arguments of their own."""
    return [
        path.stem
        for path in sorted(FOLDER.glob("*.py"))
        if path.stem not in NOT_A_BENCHMARK and "__main__" in path.read_text(encoding="utf-8")
    ]


def processor() -> str:
    """Return the processor's model name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def heading() -> str:
    """Return the top of the page: date, machine, versions."""
    versions = ", ".join(f"{name} {version(name)}" for name in (*LIBRARIES, *PEERS))
    return (
        "# Benchmarks\n\n"
        "Written by `make bench`. Each benchmark runs the peers and us on the same work in one run:\n"
        "the ratio is what holds on another machine, the absolute figure only on this one.\n\n"
        f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n"
        f"- {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}\n"
        f"- {versions}\n"
    )


def run(name: str) -> tuple[str, int]:
    """Run one benchmark; return what it printed and its exit status."""
    print(f"== {name}", flush=True)
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py")], stdout=subprocess.PIPE, text=True, check=False
    )
    print(done.stdout, flush=True)
    return done.stdout, done.returncode


def main() -> int:
    """Run the benchmarks; write the page when all of them were run. Return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="*", help=f"some of: {', '.join(names())}")
    chosen = parser.parse_args().name
    unknown = set(chosen) - set(names())
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    results = {name: run(name) for name in chosen or names()}
    if not chosen:
        sections = [
            f"\n## {name}\n\n```text\n{text.rstrip()}\n```\n" for name, (text, _) in results.items()
        ]
        PAGE.write_text(heading() + "".join(sections), encoding="utf-8")
        print(f"written to docs/{PAGE.name}")
    return int(any(status for _, status in results.values()))


if __name__ == "__main__":
    sys.exit(main())
