"""Run the large-count tests at full size and write what they showed to `docs/proof.md`.

Kills, fuzz inputs, seeds and rows run at a small size in `make test`; the tests that read
`PROVE` from the environment run here at full size. All of them take hours: with names of test files
(`python scripts/prove.py tests/fuzz/test_frames.py`) those alone run, and the page keeps what it
says of the others.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

from utils.paths import backend_folder

HEADER = """# Proof

The tests whose counts are large, run at full size by `make prove`: each with when it ran last (UTC),
and with the last line that it printed.

Python {python}, {cpus} cores, {system}.

| test | ran | seconds | result |
|---|---|---|---|
"""


def scaled_tests(tests: Path) -> list[Path]:
    """Return the test files that run at a size of their own under `PROVE=1`."""
    return sorted(
        path for path in tests.rglob("test_*.py") if '"PROVE"' in path.read_text(encoding="utf-8")
    )


def rows(report: Path, ran: str) -> dict[str, str]:
    """Return test -> its table row, of a JUnit report that this command's own run wrote.

    A row ends with the last line that the test printed: its seed and its figures.
    """
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314 - written by pytest just now
    found = {}
    for case in cases:
        failed = case.find("failure") is not None or case.find("error") is not None
        name = f"{case.get('classname', '').removeprefix('tests.')} {case.get('name')}"
        verdict = "**failed**" if failed else "passed"
        lines = [one for one in (case.findtext("system-out") or "").splitlines() if one.strip()]
        if len(lines) > 1:  # the first one is pytest's own
            verdict += ": " + lines[-1].replace("|", "/").strip()
        found[name] = f"| {name} | {ran} | {float(case.get('time', 0)):.1f} | {verdict} |\n"
    return found


def kept(page: str, files: list[Path], tests: Path) -> dict[str, str]:
    """Return the rows of a page that are not of these files, and whose file still exists."""
    again = {_module(path, tests) for path in files}
    known = {_module(path, tests) for path in scaled_tests(tests)}
    found = {}
    for line in page.splitlines(keepends=True):
        cells = line.split("|")
        if len(cells) != 6 or not cells[1].strip():
            continue
        name = cells[1].strip()
        module = name.split(" ")[0]
        if module in known - again:
            found[name] = line
    return found


def _module(path: Path, tests: Path) -> str:
    return ".".join(path.resolve().relative_to(tests).with_suffix("").parts)


def main() -> int:
    """Run the tests, write the page, return pytest's exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="test files (default: all)")
    asked = parser.parse_args().files
    backend = backend_folder()
    tests = backend / "tests"
    files = [path.resolve() for path in asked] or scaled_tests(tests)
    strange = [str(path) for path in files if path not in scaled_tests(tests)]
    if strange:
        parser.error(f"{strange[0]} has no test that runs at full size")
    ran = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile"]
        command += [f"--junitxml={report}", "-o", "junit_logging=system-out", "--timeout=3600"]
        command += [str(path) for path in files]
        environment = {**os.environ, "PROVE": "1"}
        done = subprocess.run(command, cwd=backend, env=environment, check=False)  # noqa: S603
        new = rows(report, ran)
    page = backend.parent / "docs" / "proof.md"
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    every = kept(before, files, tests) | new
    header = HEADER.format(
        python=platform.python_version(), cpus=os.cpu_count(), system=platform.system()
    )
    lines = "".join(every[name] for name in sorted(every))
    page.write_text(header + lines, encoding="utf-8")
    print(f"{len(new)} tests at full size, written to docs/proof.md")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
