"""What `benchmarks/flat_files.py` runs in a process of its own, so that no peer counts."""

from datetime import date
from pathlib import Path

from clients.lake import Lake, Partition
from polygon_integration.flat_datasets import dataset
from polygon_integration.flat_files import DayFile, Reading


def run(path: Path, folder: Path) -> None:
    """Keep QQQ and then XSP of a file of minute bars."""
    what = dataset("minute_aggs")
    lake = Lake.open(folder / "memory")
    day = date(2025, 10, 20)
    partition = Partition(what.table, day, "polygon", "simulator", "flat_file", what.sort_key)
    for name in ("QQQ", "XSP"):
        file = DayFile(path.name, what, origin="simulator", underlyings=(name,))
        with lake.replacing(partition) as writer:
            for each in file.runs(lambda: path.open("rb"), Reading()):
                writer.add(each.underlying, each.rows, is_last=each.is_last)
            writer.publish()
