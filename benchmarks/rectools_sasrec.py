"""RecTools' SASRec on sequences from a file: `.peers/bin/python benchmarks/rectools_sasrec.py SEQUENCES.npz SETTINGS`.

Runs in the peers' own environment and imports nothing of the project. SEQUENCES.npz holds `users`, `items` (oldest
first within a user) and `held_out`, the item that comes next for each user; SETTINGS is JSON. Prints JSON: seconds of
every epoch by the clock and of the process, and recall and NDCG of the next item at 10 among all items but those seen.
"""

import json
import sys
import time
import warnings

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

warnings.filterwarnings("ignore")


SECONDS: list[tuple[float, float]] = []
"""Of every epoch: by the clock, and of processor time. RecTools trains with a deep copy of the trainer, so a callback
cannot keep them."""


class Clock(Callback):
    """Tells `SECONDS`."""

    def on_train_epoch_start(self, trainer: Trainer, module: object) -> None:
        self._began = (time.perf_counter(), time.process_time())

    def on_train_epoch_end(self, trainer: Trainer, module: object) -> None:
        SECONDS.append((time.perf_counter() - self._began[0], time.process_time() - self._began[1]))


def main() -> None:
    arrays, settings = np.load(sys.argv[1]), json.loads(sys.argv[2])
    torch.set_num_threads(settings["threads"])
    seed_everything(settings["seed"], verbose=False)

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=settings["epochs"], accelerator="cpu", callbacks=[Clock()], logger=False,
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        )  # fmt: skip

    users, items, held_out = arrays["users"], arrays["items"], arrays["held_out"]
    interactions = pd.DataFrame({
        Columns.User: users, Columns.Item: items, Columns.Weight: 1.0,
        Columns.Datetime: pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(len(users)), unit="s"),
    })  # fmt: skip
    model = SASRecModel(
        n_factors=settings["dim"], n_blocks=1, n_heads=1, dropout_rate=settings["dropout"],
        session_max_len=settings["length"], loss="sampled_softmax", n_negatives=settings["negatives"],
        batch_size=settings["batch"], lr=1e-3, epochs=settings["epochs"], get_trainer_func=trainer,
    )  # fmt: skip
    dataset = Dataset.construct(interactions)
    model.fit(dataset)
    everyone = np.unique(users)
    found = model.recommend(everyone, dataset, k=10, filter_viewed=True)
    hit = found[found[Columns.Item].to_numpy() == held_out[found[Columns.User].to_numpy()]]
    gains = 1 / np.log2(hit[Columns.Rank].to_numpy() + 1)
    print(json.dumps({"seconds": SECONDS, "recall@10": len(hit) / len(held_out),
                      "ndcg@10": gains.sum() / len(held_out)}))  # fmt: skip


if __name__ == "__main__":
    main()
