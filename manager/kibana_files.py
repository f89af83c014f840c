"""What in `kibana/` is made by `make kibana`: from `fields.csv` the templates as files and a table of the README, from
`objects/` and `rules/` what Kibana imports and the README's drawings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from manager import kibana, kibana_grid, schema
from manager.schema import Field

BEGIN, END = "<!-- {}: made by make kibana -->\n", "<!-- end of {} -->\n"


def made(folder: Path) -> dict[Path, str]:
    """Each file of the folder that is made, with what has to stand in it."""
    every = [*schema.templates(), *schema.better(), schema.role()]
    files = {folder / "templates" / template.file: schema.text(template.body) for template in every}
    files[folder / "tapscan.ndjson"] = kibana.ndjson(kibana.objects())
    files[folder / "rules.ndjson"] = kibana.ndjson(kibana.rules())
    readme = folder / "README.md"
    text = _between(readme.read_text("utf-8"), "fields", "".join(_table()))
    files[readme] = _between(text, "dashboards", "".join(kibana_grid.drawn()))
    return files


def _between(text: str, name: str, made: str) -> str:
    """Replaces what stands between the comments of that name."""
    begin, end = BEGIN.format(name), END.format(name)
    return re.sub(f"{begin}.*{end}", lambda _: begin + made + end, text, flags=re.DOTALL)


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
