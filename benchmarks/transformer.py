"""Our transformer beside RecTools' SASRec on the same sequences (`make peers` first).

    python -m benchmarks.transformer [--data DIR] [--epochs N] [--threads N]

DIR holds a file of sequences (`user item item ...`, oldest first, as S3-Rec's Beauty); without it sequences of that
size are made, over which nothing can be learnt. The last item of every user is left alone, the one before it is what is
to be found. Both have 64 dimensions, 1 block, 1 head, the newest 50 items and a sampled softmax; RecTools has 256
negatives a place, batches of 128 histories and the learning rate 1e-3, ours the settings that ship. No attributes. One
after the other, seconds of an epoch by the clock and of processor time.
"""

import argparse
import dataclasses
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.protocols.formats import find_files, read_sequences
from models.evaluation.cases import Case, mean_metric
from models.interactions import Histories, Interactions, Training
from models.sequence.config import TransformerConfig
from models.sequence.recommender import train

ROOT = Path(__file__).resolve().parent.parent
PEER = (ROOT / ".peers" / "bin" / "python", ROOT / "benchmarks" / "rectools_sasrec.py")


def sequences(data: Path | None, seed: int) -> Case:
    """Histories without their last two items, and the second to last as what is to be found."""
    if data is None:
        rng = np.random.default_rng(seed)
        sizes = 5 + rng.geometric(1 / 4.9, 22_363)
        users, items = np.repeat(np.arange(len(sizes)), sizes), rng.integers(0, 12_101, sizes.sum())
    else:
        log = read_sequences(find_files(data)["sequences"][0])
        users, items = np.unique(log.users, return_inverse=True)[1], np.unique(log.items, return_inverse=True)[1]
    whole = Histories.of(users, items, int(users.max()) + 1)
    from_end = np.repeat(whole.offsets[1:], whole.sizes) - np.arange(len(whole.items))
    train, wanted = (
        Histories.of(whole.rows[kept], whole.items[kept], len(whole)) for kept in (from_end > 2, from_end == 2)
    )
    data_ = Interactions(train, int(whole.items.max()) + 1, ordered=True)
    return Case(data_, np.arange(len(whole)), train, wanted)


def ours(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """One training, its seconds an epoch and what it finds."""
    seconds: list[tuple[float, float]] = []
    began = [time.perf_counter(), time.process_time()]

    def told(done: int, total: int, what: str) -> None:
        now = [time.perf_counter(), time.process_time()]
        seconds.append((now[0] - began[0], now[1] - began[1]))
        began[:] = now

    config = TransformerConfig()
    config = dataclasses.replace(config, fit=dataclasses.replace(config.fit, max_epochs=options.epochs))
    with tempfile.TemporaryDirectory() as scratch:
        training = Training(Path(scratch), options.seed, options.threads, on_progress=told)
        model = train(case.train, config, training).model
    figures = {f"{name}@10": mean_metric(case, name, 10)(model.scores) for name in ("recall", "ndcg")}
    return {"seconds": seconds, **figures}


def theirs(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """The same of RecTools' SASRec."""
    settings = {
        "dim": 64, "length": 50, "negatives": 256, "batch": 128, "dropout": 0.2, "epochs": options.epochs,
        "seed": options.seed, "threads": options.threads,
    }  # fmt: skip
    past = case.histories
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sequences.npz"
        np.savez(path, users=past.rows, items=past.items, held_out=case.relevant.items)
        done = subprocess.run([*PEER, path, json.dumps(settings)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR")
    for name, default in (("epochs", 1), ("threads", 2), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    case = sequences(options.data, options.seed)
    train_ = case.train
    print(f"{train_.num_users:,} users, {train_.num_items:,} items, {len(train_.histories.items):,} interactions")
    found = {"ours": ours(case, options), "RecTools": theirs(case, options)}
    means = {name: np.mean(figures["seconds"], axis=0) for name, figures in found.items()}
    for name, figures in found.items():
        clock, processor = means[name]
        quality = f"recall@10 {figures['recall@10']:.4f}, ndcg@10 {figures['ndcg@10']:.4f}"
        print(
            f"{name:9} {clock:7.1f} s an epoch ({processor:.1f} of processor time); after {options.epochs}: {quality}"
        )
    by_clock, by_processor = means["RecTools"] / means["ours"]
    print(f"ours is {by_clock:.1f} times as fast ({by_processor:.1f} times by processor time)")


if __name__ == "__main__":
    main()
