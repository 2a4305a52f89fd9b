"""Write `docs/data_dictionary.md` from `models/tables.py`: `python scripts/write_data_dictionary.py`."""

from models.data_dictionary import data_dictionary
from utils.paths import backend_folder


def main() -> None:
    """Write the page and print its path."""
    path = backend_folder().parent / "docs" / "data_dictionary.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(data_dictionary(), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
