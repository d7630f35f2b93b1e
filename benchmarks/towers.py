"""What each input of the user tower is worth: `python -m benchmarks.towers 0 1 2`.

For every world seed the demo's window is made, towers are trained with each set of inputs, and their nearest items for
every judged user, those seen left out and no other filter, are compared with what was watched on the two judged days.
Prints the mean over the worlds and each world's NDCG@10. No Spark, no Prefect: a minute of one core a world.
"""

import argparse
import datetime
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from models.evaluation.truth import Judged, judged_users
from models.metrics.ranking import ranking_metrics
from models.retrieval.artifact import load_towers, save_towers
from models.retrieval.config import EmbeddingsConfig, TowersConfig
from models.retrieval.embedding import embed_items
from models.retrieval.training import train_towers
from models.runtime.user_tower import UserTower
from models.world.config import WorldConfig
from models.world.tables import events_of, items_of, users_of
from models.world.world import World

TRAIN_DAYS, JUDGE_DAYS, K = 28, 2, 50
NOTHING: dict[str, Any] = {"search_words": 0, "age_powers": False, "example_age": False}
INPUTS: dict[str, dict[str, Any]] = {
    "none of them": {},
    "searches, words": {"search_words": 10, "search_hashing": "words"},
    "searches, trigrams": {"search_words": 10, "search_hashing": "trigrams"},
    "powers of the age": {"age_powers": True},
    "example age": {"example_age": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="+", type=int)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    figures: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="nightjar-towers-") as folder:
            window = Window(seed, Path(folder))
            for name, changes in INPUTS.items():
                figures[name].append(window.figures(TowersConfig(**NOTHING | changes)))
    print(f"{'':<20}{'validation':>12}{'recall@50':>12}{'ndcg@10':>12}   NDCG@10 of each world")
    for name, rows in figures.items():
        means = "".join(f"{mean:>12.4f}" for mean in np.mean(rows, axis=0))
        print(f"{name:<20}{means}   {' '.join(f'{row[-1]:.4f}' for row in rows)}")


class Window:
    """The demo's days of one world, with what was watched after them."""

    def __init__(self, seed: int, folder: Path) -> None:
        config = WorldConfig(seed=seed, num_users=1000, num_items=2000)
        world, first = World(config), datetime.date.fromisoformat(config.first_day)
        days = [first + datetime.timedelta(days=n) for n in range(TRAIN_DAYS + JUDGE_DAYS)]
        self.folder, self.last_day = folder, days[TRAIN_DAYS - 1]
        self.users, self.items = (of(world, self.last_day.isoformat()) for of in (users_of, items_of))
        tables = [events_of(world, day.isoformat()) for day in days]
        window = tables[:TRAIN_DAYS]
        self.files = {
            name: [self._write(name, number, day[name]) for number, day in enumerate(window)]
            for name in ("watches", "searches")
        }
        log = {n: pa.concat_tables([day[n] for day in window]) for n in self.files}
        self.histories = histories(log["watches"], log["searches"])
        users, items = (np.sort(t[c].to_numpy()) for t, c in ((self.users, "user_id"), (self.items, "item_id")))
        self.judged: Judged = judged_users([t["watches"] for t in tables[TRAIN_DAYS:]], users, items, self.histories)

    def _write(self, name: str, number: int, table: pa.Table) -> Path:
        path = self.folder / f"{name}-{number:02d}.parquet"
        pq.write_table(table, path)
        return path

    def figures(self, config: TowersConfig) -> tuple[float, float, float]:
        """Recall on the validation days, and recall@50 and NDCG@10 on the judged ones."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            folder, scratch = Path(name), Path(name) / "scratch"
            scratch.mkdir()
            trained = train_towers(
                self.files["watches"], self.users, self.items, config,
                last_day=self.last_day, scratch=scratch, searches=self.files["searches"],
            )  # fmt: skip
            save_towers(trained, self.users, self.items, config.history_length, folder)
            found = self._nearest(folder)
        hits = self.judged.truth.contains(found)
        values = ranking_metrics(hits, self.judged.truth.sizes, (10, K))
        assert trained.log.best_metric is not None
        recall, ndcg = (float(np.nanmean(values[m])) for m in (("recall", K), ("ndcg", 10)))
        return trained.log.best_metric, recall, ndcg

    def _nearest(self, folder: Path) -> np.ndarray:
        """Ids of the nearest items that each judged user has not seen, `[U, K]`."""
        embeddings = pa.Table.from_batches(embed_items(load_towers(folder), self.items, EmbeddingsConfig()))
        ids, items_ID = embeddings["item_id"].to_numpy(), np.stack(embeddings["vector"].to_numpy())
        asked = self.users.filter(pc.is_in(self.users["user_id"], pa.array(self.judged.user_ids, pa.int32())))
        queries = UserTower(folder).embeddings(asked, self.histories, int(ids.max()) + 1)
        scores = np.stack(queries["vector"].to_numpy()) @ items_ID.T
        seen = self.judged.seen.contains(np.broadcast_to(ids, scores.shape))
        return ids[np.argsort(-np.where(seen, -np.inf, scores), axis=1, kind="stable")[:, :K]].astype(np.int64)


def histories(watches: pa.Table, searches: pa.Table) -> pa.Table:
    """`user_id`, `item_ids`, `seen` and `searched`, as the Spark job `features` gives them."""
    rows: dict[int, dict[str, list[Any]]] = defaultdict(lambda: {"item_ids": [], "seen": [], "searched": []})
    for row in watches.sort_by([("time", "ascending"), ("watch_id", "ascending")]).to_pylist():
        rows[row["user_id"]]["seen"].append(row["item_id"])
        rows[row["user_id"]]["item_ids"] += [row["item_id"]] * row["positive"]
    for row in searches.sort_by([("time", "ascending"), ("search_id", "ascending")]).to_pylist():
        rows[row["user_id"]]["searched"] += row["tokens"]
    numbers, words = pa.list_(pa.int32()), pa.list_(pa.string())
    return pa.table(
        {
            "user_id": pa.array(rows, pa.int32()),
            "item_ids": pa.array([row["item_ids"][-50:] for row in rows.values()], numbers),
            "seen": pa.array([sorted(set(row["seen"])) for row in rows.values()], numbers),
            "searched": pa.array([row["searched"][-50:] for row in rows.values()], words),
        }
    )


if __name__ == "__main__":
    main()
