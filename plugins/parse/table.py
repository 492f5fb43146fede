"""`table`: the rows of HTML tables, as items.

    parse:
      - table: {selector: "table.prices", type: price}

The fields are the cells of the header row (or `columns`), in lower case with `_` for anything else; without a header
they are `column_1` and so on. A cell that spans several columns or rows stands in each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline import Element, Item, Page, Registry, hookimpl

MOST_SPAN = 1000  # what browsers allow


class Table:
    """Give an item of `type` for each row of the tables that `selector` finds; `columns` names the fields."""

    def __init__(self, selector: str = "table", type: str = "row", columns: list[str] | None = None) -> None:  # noqa: A002
        self.selector = selector
        self.type = type
        self.columns = columns

    @hookimpl
    def parse(self, page: Page) -> Iterator[Item]:
        """The rows of all tables, in document order; rows without a text are left out."""
        for table in page.select(self.selector):
            rows = list(_rows(table))
            names = self.columns
            if names is None and rows and rows[0][0]:
                names = [_name(text, number) for number, text in enumerate(rows.pop(0)[1], 1)]
            for header, cells in rows:
                if any(cells) and not (header and names is not None):
                    yield Item(self.type, _row(cells, names or []))


def _rows(table: Element) -> Iterator[tuple[bool, list[str]]]:
    """(all of its cells are headings, texts) of each row of this table, not of tables within it."""
    reaching: dict[int, tuple[int, str]] = {}  # column -> (rows that a cell above still covers, its text)
    for row in table.select(":scope > tr, :scope > thead > tr, :scope > tbody > tr, :scope > tfoot > tr"):
        cells: dict[int, str] = {column: text for column, (_, text) in reaching.items()}
        reaching = {column: (left - 1, text) for column, (left, text) in reaching.items() if left > 1}
        kinds, column = set(), 0
        for cell in row.select(":scope > td, :scope > th"):
            kinds.add(cell.tag)
            text, down = cell.text, _span(cell, "rowspan")
            for _ in range(_span(cell, "colspan")):
                while column in cells:
                    column += 1
                cells[column] = text
                if down > 1:
                    reaching[column] = (down - 1, text)
        width = max(cells, default=-1) + 1
        yield kinds == {"th"}, [cells.get(number, "") for number in range(width)]


def _span(cell: Element, name: str) -> int:
    text = cell.attr(name) or ""
    return min(max(int(text), 1), MOST_SPAN) if text.isascii() and text.isdigit() else 1


def _name(text: str, number: int) -> str:
    return re.sub(r"\W+", "_", text.lower()).strip("_") or f"column_{number}"


def _row(cells: list[str], names: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for number, text in enumerate(cells, 1):
        name = names[number - 1] if number <= len(names) else f"column_{number}"
        fields[name if name not in fields else f"{name}_{number}"] = text
    return fields


@hookimpl
def register(registry: Registry) -> None:
    """Let configs name it."""
    registry.parser("table", Table)
