"""Run the large-count tests at full size and write what they showed to `docs/proof.md`.

Kills, fuzz inputs, seeds and rows run at a small size in `make test`; the tests that read
`PROVE` from the environment run here at full size.
"""

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

The tests whose counts are large, run at full size by `make prove`.

Run on {date} UTC, Python {python}, {cpus} cores, {system}.

| test | seconds | result |
|---|---|---|
"""


def scaled_tests(tests: Path) -> list[Path]:
    """Return the test files that run at a size of their own under `PROVE=1`."""
    return sorted(
        path for path in tests.rglob("test_*.py") if '"PROVE"' in path.read_text(encoding="utf-8")
    )


def rows(report: Path) -> list[str]:
    """Return one table row a test case of a JUnit report that this command's own run wrote."""
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314 - written by pytest just now
    lines = []
    for case in cases:
        failed = case.find("failure") is not None or case.find("error") is not None
        name = f"{case.get('classname', '').removeprefix('tests.')} {case.get('name')}"
        verdict = "**failed**" if failed else "passed"
        lines.append(f"| {name} | {float(case.get('time', 0)):.1f} | {verdict} |\n")
    return sorted(lines)


def main() -> int:
    """Run the tests, write the page, return pytest's exit status."""
    backend = backend_folder()
    files = scaled_tests(backend / "tests")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile"]
        command += [f"--junitxml={report}", "--timeout=3600", *(str(path) for path in files)]
        environment = {**os.environ, "PROVE": "1"}
        done = subprocess.run(command, cwd=backend, env=environment, check=False)  # noqa: S603
        lines = rows(report)
    header = HEADER.format(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        python=platform.python_version(),
        cpus=os.cpu_count(),
        system=platform.system(),
    )
    page = backend.parent / "docs" / "proof.md"
    page.write_text(header + "".join(lines), encoding="utf-8")
    print(f"{len(lines)} tests at full size, written to docs/proof.md")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
