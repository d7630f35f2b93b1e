"""Reads the files of public data sets by what is in them, whatever they are called.

| kind | a line |
|---|---|
| `sequences` | `user item item ...`, separated by spaces |
| `ratings` | `user TAB item TAB rating TAB seconds since 1970` |
| `pairs` | `user TAB item` |
| `negatives` | `(user,item) TAB item TAB item ...` |
| `flags` | `item|...|0|1|0`: an item, and two or more flags at the end |
| `attributes` | a JSON file `{"item": [attribute, ...]}` |

Other files are passed over. Ids are whole numbers of up to 18 digits.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from expectations.errors import UserError
from models.interactions import Ints

_LINES = {
    "negatives": re.compile(r"\(\d+,\d+\)(\t\d+)+"),
    "ratings": re.compile(r"\d+\t\d+\t\d+(\.\d+)?\t\d+"),
    "pairs": re.compile(r"\d+\t\d+"),
    "flags": re.compile(r"\d+\|.*(\|[01]){2,}"),
    "sequences": re.compile(r"\d+( \d+)*"),
}
_FLAGS = re.compile(r"(\|[01])+$")
_ATTRIBUTES = re.compile(r"\{\s*\"\d+\"\s*:\s*\[")
_TOO_LONG = re.compile(r"\d{19}")
"""More than an int64 surely holds."""
_JUDGED_BY = 50
"""Lines at the beginning of a file that tell its kind."""


@dataclass(frozen=True)
class Log:
    """Interactions as a file has them, in its order: int64 `[N]` each, ratings float32; ids are the file's own."""

    users: Ints
    items: Ints
    ratings: np.ndarray | None = None
    times: Ints | None = None

    def __len__(self) -> int:
        return len(self.users)

    @property
    def moments(self) -> Ints:
        """`times`, of a log that is known to have them."""
        assert self.times is not None, "the log tells no times"
        return self.times

    def at(self, places: Ints) -> "Log":
        """Some of the interactions."""
        columns: dict[str, Any] = {
            name: None if column is None else column[places] for name, column in vars(self).items()
        }
        return replace(self, **columns)

    def once(self) -> "Log":
        """The log with only the first interaction of each user with an item, by time or else by place."""
        places = np.arange(len(self))
        order = np.lexsort((places, places if self.times is None else self.times, self.items, self.users))
        users, items = self.users[order], self.items[order]
        is_first = np.append(True, (np.diff(users) != 0) | (np.diff(items) != 0))[: len(self)]
        return self if is_first.all() else self.at(np.sort(order[is_first]))


@dataclass(frozen=True)
class Negatives:
    """Items that stand beside each test item: int64 users and items `[B]`, negatives `[B, C]`."""

    users: Ints
    items: Ints
    negatives: Ints


def find_files(folder: Path) -> dict[str, list[Path]]:
    """Files of each kind, largest first.

    Raises:
        UserError: no such folder, or no file of a known kind in it.
    """
    if not folder.is_dir():
        raise UserError(f"--data {folder}: no such folder")
    found: dict[str, list[Path]] = {}
    for path in sorted((p for p in folder.iterdir() if p.is_file()), key=lambda p: (-p.stat().st_size, p.name)):
        if kind := _kind(path):
            found.setdefault(kind, []).append(path)
    if not found:
        raise UserError(f"--data {folder}: no file of a known format; the formats are in docs/quality.md")
    return found


def _kind(path: Path) -> str:
    with path.open(encoding="latin-1") as file:
        lines = [line.strip() for _, line in zip(range(_JUDGED_BY), file, strict=False)]
    lines = [line for line in lines if line]
    if lines and _ATTRIBUTES.match("".join(lines)):
        return "attributes"
    kinds = (kind for kind, form in _LINES.items() if lines and all(form.fullmatch(line) for line in lines))
    return next(kinds, "")


def read_sequences(path: Path) -> Log:
    """Every user's items, in the order of the lines."""
    rows = [np.fromstring(line, dtype=np.int64, sep=" ") for line in _lines(path, "sequences")]
    sizes = np.array([len(row) - 1 for row in rows])
    values = np.concatenate(rows)
    is_user = np.zeros(len(values), dtype=bool)
    is_user[np.cumsum(sizes + 1) - sizes - 1] = True
    return Log(np.repeat(values[is_user], sizes), values[~is_user])


def read_ratings(path: Path) -> Log:
    """A log with ratings and times, in the order of the file."""
    cells = "\t".join(_lines(path, "ratings")).split("\t")
    users, items, times = (np.array(cells[column::4], dtype=np.int64) for column in (0, 1, 3))
    return Log(users, items, np.array(cells[2::4], dtype=np.float32), times)


def read_pairs(path: Path) -> Log:
    users, items = np.array("\t".join(_lines(path, "pairs")).split("\t"), dtype=np.int64).reshape(-1, 2).T
    return Log(users, items)


def read_negatives(path: Path) -> Negatives:
    """Raises UserError when lines differ in length."""
    rows = [re.split(r"[(,)\t]+", line.lstrip("(")) for line in _lines(path, "negatives")]
    if len({len(row) for row in rows}) > 1:
        raise UserError(f"{path}: lines have different numbers of negatives; all must have the same")
    values = np.array(rows, dtype=np.int64)
    return Negatives(values[:, 0], values[:, 1], values[:, 2:])


def read_attributes(files: dict[str, list[Path]]) -> dict[int, list[str]]:
    """Attributes of items by their ids, from a JSON file or from flags; empty when the folder has neither."""
    if "attributes" in files:
        return _read_json(files["attributes"][0])
    found: dict[int, list[str]] = {}
    for path in files.get("flags", [])[:1]:
        for line in _lines(path, "flags"):
            flags = _FLAGS.search(line)
            assert flags is not None
            found[int(line.split("|", 1)[0])] = [str(n) for n, f in enumerate(flags[0][1:].split("|")) if f == "1"]
    return found


def _read_json(path: Path) -> dict[int, list[str]]:
    try:
        told = json.loads(path.read_text())
        return {int(item): [str(a) for a in attributes] for item, attributes in told.items()}
    except (ValueError, TypeError) as error:
        raise UserError(f'{path}: cannot be read as JSON {{"item": [attribute, ...]}} ({error})') from None


def _lines(path: Path, kind: str) -> list[str]:
    """Lines that say something, each of the kind that the first ones told.

    Raises:
        UserError: one is not.
    """
    lines = [line.strip() for line in path.read_text(encoding="latin-1").split("\n")]
    form = _LINES[kind]
    for number, line in enumerate(lines, 1):
        if line and not form.fullmatch(line):
            raise UserError(
                f"{path}, line {number}: the file begins as `{kind}`, and this line is none: {line[:60]!r}; "
                "formats are in docs/quality.md"
            )
        if _TOO_LONG.search(line):
            raise UserError(f"{path}, line {number}: a number of more than 18 digits; number users and items anew")
    return [line for line in lines if line]
