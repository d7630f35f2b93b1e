"""Reads the files of public data sets by what is in them, whatever they are called.

| kind | a line |
|---|---|
| `sequences` | `user item item ...`, separated by spaces |
| `ratings` | `user TAB item TAB rating TAB seconds since 1970` |
| `pairs` | `user TAB item` |
| `negatives` | `(user,item) TAB item TAB item ...` |
| `flags` | `item|...|0|1|0`: an item, and two or more flags at the end |
| `attributes` | a JSON file `{"item": [attribute, ...]}` |

Other files are passed over. Ids are whole numbers of any size.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

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
_ATTRIBUTES = re.compile(r"\{\s*\"\d+\"\s*:\s*\[")
_JUDGED_BY = 50
"""Lines at the beginning of a file that tell its kind."""


@dataclass(frozen=True)
class Log:
    """Interactions as a file has them, in its order: int64 `[N]` each, ratings float32; ids are the file's own."""

    users: Ints
    items: Ints
    ratings: np.ndarray | None = None
    times: Ints | None = None


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
    if lines and _ATTRIBUTES.match(lines[0]):
        return "attributes"
    kinds = (kind for kind, form in _LINES.items() if lines and all(form.fullmatch(line) for line in lines))
    return next(kinds, "")


def read_sequences(path: Path) -> Log:
    """Every user's items, in the order of the lines."""
    rows = [np.fromstring(line, dtype=np.int64, sep=" ") for line in _lines(path)]
    sizes = np.array([len(row) - 1 for row in rows])
    values = np.concatenate(rows)
    is_user = np.zeros(len(values), dtype=bool)
    is_user[np.cumsum(sizes + 1) - sizes - 1] = True
    return Log(np.repeat(values[is_user], sizes), values[~is_user])


def read_ratings(path: Path) -> Log:
    """A log with ratings and times, in the order of the file."""
    columns = np.array("\t".join(_lines(path)).split("\t"), dtype=np.float64).reshape(-1, 4)
    users, items, times = columns[:, [0, 1, 3]].astype(np.int64).T
    return Log(users, items, columns[:, 2].astype(np.float32), times)


def read_pairs(path: Path) -> Log:
    users, items = np.array("\t".join(_lines(path)).split("\t"), dtype=np.int64).reshape(-1, 2).T
    return Log(users, items)


def read_negatives(path: Path) -> Negatives:
    """Raises UserError when lines differ in length."""
    rows = [re.split(r"[(,)\t]+", line.lstrip("(")) for line in _lines(path)]
    if len({len(row) for row in rows}) > 1:
        raise UserError(f"{path}: lines have different numbers of negatives; all must have the same")
    values = np.array(rows, dtype=np.int64)
    return Negatives(values[:, 0], values[:, 1], values[:, 2:])


def read_attributes(files: dict[str, list[Path]]) -> dict[int, list[str]]:
    """Attributes of items by their ids, from a JSON file or from flags; empty when the folder has neither."""
    if "attributes" in files:
        told = json.loads(files["attributes"][0].read_text())
        return {int(item): [str(a) for a in attributes] for item, attributes in told.items()}
    found: dict[int, list[str]] = {}
    for path in files.get("flags", [])[:1]:
        for line in _lines(path):
            item, flags = line.split("|", 1)[0], re.search(r"(\|[01])+$", line)
            found[int(item)] = (
                [str(n) for n, flag in enumerate(flags[0][1:].split("|")) if flag == "1"] if flags else []
            )
    return found


def _lines(path: Path) -> list[str]:
    return [line for line in map(str.strip, path.read_text(encoding="latin-1").split("\n")) if line]
