"""A whole night on lists of what was shown and clicked: the ranker learns from these, as from those of made data."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.homes import TINY

START = datetime(2019, 11, 9, 0, 1, tzinfo=UTC)
DAYS, USERS, ITEMS, PLACES = 8, 40, 50, 6


def behaviors() -> str:
    """Lists as MIND has them: everybody clicks what is of their own kind, and is shown all kinds alike."""
    random = np.random.default_rng(0)
    lines: list[str] = []
    for day in range(DAYS):
        for user in range(USERS):
            time = START + timedelta(
                days=day, minutes=int(random.integers(23 * 60)) if day < DAYS - 1 else 23 * 60 + user % 58
            )
            shown = random.permutation(ITEMS)[:PLACES]
            clicked = (shown % 5 == user % 5) & (random.random(PLACES) < 0.9)
            told = " ".join(f"N{item}-{int(hit)}" for item, hit in zip(shown, clicked, strict=True))
            lines.append(f"{len(lines) + 1}\tU{user}\t{time:%m/%d/%Y %I:%M:%S %p}\tN1 N2\t{told}\n")
    return "".join(lines)


def manifests(home: Path, dataset: str) -> list[dict]:
    return [json.loads(path.read_text()) for path in (home / "home/lake" / dataset).glob("*/*/manifest.json")]


@pytest.mark.slow
def test_the_ranker_learns_from_what_a_log_says_was_shown(make_home, prefect):
    home = make_home(prefect=prefect)
    source = {
        "kind": "table",
        "time_format": "%m/%d/%Y %I:%M:%S %p",
        "impressions": {
            "path": str(home.path / "behaviors.tsv"),
            "header": ["impression", "user", "time", "history", "shown"],
            "shown": "shown",
            "mark": "-",
        },
    }
    (home.path / "behaviors.tsv").write_text(behaviors())
    home.config.write_text(f"{TINY}\nsource: {json.dumps(source)}\n")
    done = home.night()
    assert done.returncode == 0, done.stdout + done.stderr
    shown = manifests(home.path, "impressions")
    # The window and the judged day.
    assert len(shown) == 6 and all(day["rows"] == USERS * PLACES for day in shown)
    (ranker,) = manifests(home.path, "ranker")
    assert ranker["notes"]["num_training"] + ranker["notes"]["num_validation"] == 2 * USERS * PLACES
    assert not any(name.startswith("negatives") for name, _ in ranker["notes"]["substitutes"])
    (exposures,) = (one for one in manifests(home.path, "exposures") if one["date"] == ranker["date"])
    assert exposures["rows"] > 0
    page = (home.path / "home" / home.record()["release"]["report"]).read_text()
    assert "No propensities" in page and "No impressions" not in page
