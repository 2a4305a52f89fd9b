"""The data dictionary in docs/ is the one that the tables give."""

from models.data_dictionary import data_dictionary
from models.tables import TABLES
from utils.paths import backend_folder


def test_the_committed_page_is_current() -> None:
    page = backend_folder().parent / "docs" / "data_dictionary.md"
    assert page.read_text(encoding="utf-8") == data_dictionary(), (
        "run: python scripts/write_data_dictionary.py"
    )


def test_every_column_of_every_table_stands_in_it() -> None:
    for table in TABLES.values():
        section = data_dictionary().partition(f"\n## {table.name}\n")[2].partition("\n## ")[0]
        names = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
        assert tuple(names) == table.column_names
