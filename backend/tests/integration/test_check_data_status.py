"""`python sys_testing/check_data_status.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Bench

COMMAND = "sys_testing/check_data_status.py"


def test_it_shows_what_is_stored(friday: Bench, tmp_path: Path) -> None:
    page = tmp_path / "map.html"
    nothing = friday.run(COMMAND, "--html", str(page))
    assert nothing.status == 4
    assert "nothing is stored yet" in nothing.out
    assert "main.py" in page.read_text(encoding="utf-8")

    assert friday.main("--days", "3", "--expirations", "0-3").status == 0
    done = friday.run(COMMAND, "--html", str(page))
    assert (done.status, done.err) == (0, "")
    for word in ("QQQ", "Fri 2026-11-20", "equity_bars_1m", "option_quotes", str(page)):
        assert word in done.out
    assert "Wed 2026-11-18: complete" in page.read_text(encoding="utf-8")

    found = friday.run(COMMAND, "--json", "--html", str(page), "--ticker", "qqq").object
    assert found["status"] == "complete"
    rows = {each["dataset"]: each["rows"] for each in found["series"]}
    assert rows["equity_bars_1m"] == friday.count("equity_bars")
    assert rows["option_quotes"] == friday.count("option_quotes")

    friday.execute("delete from coverage where session = '2026-11-19'")
    assert friday.run(COMMAND, "--html", str(page)).status == 4
    assert "not stored" in page.read_text(encoding="utf-8")
