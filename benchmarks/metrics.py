"""Our metrics beside RecTools' `calc_metrics` on the same table: `python -m benchmarks.metrics` (`make peers` first).

A seeded table of (user, item, rank), 100,000 users with 100 places of 20,000 items, and 15 relevant items a user, half
of them in the list. Both start from columns in memory; ours includes turning these into arrays. Precision, recall, hit
rate, NDCG, MRR and MAP at five cut-offs, then average popularity, coverage and serendipity at the same. One thread
each, one after the other in the same run, seconds of processor time (others on the machine do not count), the best of
the rounds; RecTools runs in an environment of its own.

Two definitions differ. RecTools divides MAP by all relevant items where ours divides by those that fit in k, so ours is
turned into theirs before comparing. Its serendipity numbers the different popularities where ours numbers the items,
which is the same only where no two are equally popular (as in tests/models/metrics), so it is timed and not compared.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
os.environ |= THREADS  # before numpy is imported

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

from models.metrics.beyond_accuracy import (  # noqa: E402
    coverage,
    mean_over_list,
    obviousness,
    recommendation_counts,
    serendipity,
)  # fmt: skip
from models.metrics.ranking import PerUser  # noqa: E402
from models.metrics.tables import Ranking  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
PEER = (ROOT / ".peers" / "bin" / "python", ROOT / "benchmarks" / "rectools_metrics.py")
KS = (5, 10, 20, 50, 100)
Means = dict[str, float]


def make_arrays(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """Columns of the recommendations, of what is relevant, and of what was watched before."""
    random = np.random.default_rng(options.seed)
    users, items, places = options.users, options.items, options.places
    first, steps = random.integers(items, size=(users, 1)), random.integers(1, items // places, size=(users, 1))
    lists = (first + steps * np.arange(places)) % items  # no item twice
    test_user = np.repeat(np.arange(users), options.relevant)
    test_item = random.integers(items, size=len(test_user))
    test_item[::2] = lists[test_user[::2], random.integers(places, size=len(test_user[::2]))]
    test = np.unique(test_user * items + test_item)
    train = np.unique(
        random.integers(users, size=20 * users) * items + (random.random(20 * users) ** 3 * items).astype(np.int64)
    )
    return {
        "reco_user": np.repeat(np.arange(users), places), "reco_item": lists.ravel(),
        "reco_rank": np.tile(np.arange(1, places + 1), users),
        "test_user": test // items, "test_item": test % items,
        "train_user": train // items, "train_item": train % items,
        "catalog": np.arange(items), "genre": np.zeros(items, np.int64),
    }  # fmt: skip


def ranking(arrays: dict[str, np.ndarray]) -> Means:
    """The six ranking metrics, from the table on."""
    return _means(_ranking_of(arrays).metrics(KS))


def map_as_theirs(arrays: dict[str, np.ndarray]) -> Means:
    """MAP divided by all relevant items."""
    ranked = _ranking_of(arrays)
    values, relevant = ranked.metrics(KS), ranked.truth.sizes
    return _means({("map", k): values["map", k] * np.minimum(relevant, k) / relevant for k in KS})


def _means(values: PerUser) -> Means:
    return {f"{metric}@{k}": float(of.mean()) for (metric, k), of in values.items()}


def more(arrays: dict[str, np.ndarray]) -> Means:
    """Average popularity, coverage and serendipity, from the table on."""
    ranked, num_items = _ranking_of(arrays), len(arrays["catalog"])
    watchers = np.bincount(arrays["train_item"], minlength=num_items)
    hits = ranked.truth.contains(ranked.lists)
    values = _means(serendipity(ranked.lists, hits, obviousness(watchers, num_items), num_items, KS))
    for k in KS:
        lists = ranked.lists[:, :k]
        values[f"average_popularity@{k}"] = float(mean_over_list(lists, watchers / watchers.sum()).mean())
        values[f"coverage@{k}"] = coverage(recommendation_counts(lists, num_items))
    return values


def _ranking_of(arrays: dict[str, np.ndarray]) -> Ranking:
    columns = {"user_id": "user", "item_id": "item", "rank": "rank"}
    ranked = pa.table({name: arrays[f"reco_{short}"] for name, short in columns.items()})
    relevant = pa.table({"user_id": arrays["test_user"], "item_id": arrays["test_item"]})
    return Ranking.of_tables(ranked, relevant, max(KS))


def rectools(arrays: dict[str, np.ndarray], folder: Path, rounds: int) -> tuple[Means, dict[str, float]]:
    """Their means, and seconds by group of metrics."""
    np.savez(folder / "tables.npz", **arrays)  # type: ignore[arg-type]
    command = [
        *map(str, PEER),
        str(folder / "tables.npz"),
        *map(str, KS),
        "--rounds",
        str(rounds),
        "--groups",
        "ranking",
        "more",
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | THREADS)
    found = json.loads(done.stdout)
    return found["values"], found["seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("users", 100_000), ("items", 20_000), ("places", 100), ("relevant", 15), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    arrays = make_arrays(options)
    rows = f"{len(arrays['reco_user']):,} recommendations, {len(arrays['test_user']):,} relevant"
    print(f"{rows}, cut-offs {KS}, 1 thread")
    ours: Means = {}
    seconds: dict[str, float] = {}
    for group in (ranking, more):
        for _ in range(options.rounds):
            began = time.process_time()
            ours |= group(arrays)
            seconds[group.__name__] = min(seconds.get(group.__name__, np.inf), time.process_time() - began)
    with tempfile.TemporaryDirectory() as folder:
        theirs, their_seconds = rectools(arrays, Path(folder), options.rounds)
    for name, own in seconds.items():
        other = their_seconds[name]
        print(f"{name:8} ours {own:6.2f} s   RecTools {other:6.2f} s   {other / own:.1f} times as fast")
    ours |= map_as_theirs(arrays)
    compared = [name for name in ours if not name.startswith("serendipity")]
    for name in compared:
        print(f"{name:24} {ours[name]:.9f} {theirs[name]:.9f}")
    print(f"largest difference of {len(compared)} values: {max(abs(ours[n] - theirs[n]) for n in compared):.1e}")


if __name__ == "__main__":
    main()
