"""What in `kibana/` is made from `fields.csv`, by `make kibana`: the templates as files, the table of the README."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from manager import schema
from manager.schema import Field

BEGIN, END = "<!-- fields: made by make kibana -->\n", "<!-- end of fields -->\n"


def made(folder: Path) -> dict[Path, str]:
    """Each file of the folder that is made, with what has to stand in it."""
    every = [*schema.templates(), *schema.better(), schema.role()]
    files = {folder / "templates" / template.file: schema.text(template.body) for template in every}
    readme = folder / "README.md"
    files[readme] = _between(readme.read_text("utf-8"), "".join(_table()))
    return files


def _between(text: str, table: str) -> str:
    return re.sub(f"{BEGIN}.*{END}", lambda _: BEGIN + table + END, text, flags=re.DOTALL)


def _table() -> Iterator[str]:
    yield "| field | type | what |\n| --- | --- | --- |\n"
    yield from map(_row, schema.fields())


def _row(field: Field) -> str:
    return f"| `{field.name}` | {field.type} | {field.what.replace('|', chr(92) + '|')} |\n"


def write(folder: Path) -> None:
    """Makes all of them; what is no longer made goes."""
    files = made(folder)
    for path in {*(folder / "templates").glob("*.json")} - files.keys():
        path.unlink()
    for path, text in files.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    write(Path(__file__).parents[1] / "kibana")
