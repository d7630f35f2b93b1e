"""Small folders in the formats of public data sets, under other names than theirs."""

from pathlib import Path

import numpy as np
import pytest

DAY_S = 86_400


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    """Twelve users with their items, oldest first; item 99 is only the last of user 3."""
    folder = tmp_path / "sequences"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = [[user, *(10 + rng.permutation(20)[: 3 + user % 5])] for user in range(1, 13)]
    rows[2].append(99)
    (folder / "what").write_text("\n".join(" ".join(map(str, row)) for row in rows) + "\n")
    (folder / "notes.md").write_text("A README, which is no data.\n")
    (folder / "more.json").write_text('{"10": [7, 8], "11": [8], "12": []}')
    return folder


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Two files of rows without order; the test's name comes first in the alphabet."""
    folder = tmp_path / "split"
    folder.mkdir()
    rng = np.random.default_rng(1)
    items = [rng.permutation(30) for _ in range(20)]
    for name, part in (("z", slice(0, 10)), ("a", slice(10, 13))):
        rows = (f"{user} {' '.join(map(str, sorted(own[part])))}" for user, own in enumerate(items))
        (folder / name).write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def negatives(tmp_path: Path) -> Path:
    """Pairs, test items among three negatives, and the test items again with ratings and times."""
    folder = tmp_path / "negatives"
    folder.mkdir()
    rng = np.random.default_rng(2)
    own = [rng.permutation(150) for _ in range(8)]
    pairs = (f"{user}\t{item}" for user, items in enumerate(own) for item in items[:6])
    (folder / "p").write_text("\n".join(pairs) + "\n")
    lines = (f"({user},{items[6]})\t" + "\t".join(map(str, items[7:10])) for user, items in enumerate(own))
    (folder / "n").write_text("\n".join(lines) + "\n")
    (folder / "r").write_text("\n".join(f"{user}\t{items[6]}\t5\t978824351" for user, items in enumerate(own)) + "\n")
    return folder


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    """A log of 120 days in no order, with flags of the items; some users come in the last days only."""
    folder = tmp_path / "ratings"
    folder.mkdir()
    rng = np.random.default_rng(3)
    keys = rng.permutation(30 * 25)[:500]
    users, items = keys // 25 + 1, keys % 25 + 1
    days = np.where(users > 25, rng.integers(95, 120, 500), rng.integers(0, 120, 500))
    rows = (
        f"{u}\t{i}\t{r}\t{d * DAY_S + 60}"
        for u, i, r, d in zip(users, items, rng.integers(1, 6, 500), days, strict=True)
    )
    (folder / "log").write_text("\n".join(rows) + "\n")
    flags = (f"{item}|Title é {item}|1995|0|1|{item % 2}" for item in range(1, 26))
    (folder / "titles").write_text("\n".join(flags) + "\n", encoding="latin-1")
    (folder / "people").write_text("1|24|M|writer|85711\n")
    return folder
