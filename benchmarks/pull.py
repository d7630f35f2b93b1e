"""How fast a release is pulled: `python -m benchmarks.pull --users 200000 --items 50000`.

A made bundle is registered in a folder, then copied (`shutil.copytree`) and pulled in turn. A pull also compares the
sha256 of every file and asks for two lists, the smoke query, which is timed alone as well; pulled again, the release
is only compared. Medians; the first round warms the disk's cache and does not count.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.made_bundle import make_bundle, make_tables
from flows.home import prepare
from models.serving.config import PipelineConfig
from tasks.engine.content_digest import file_sha256
from tasks.engine.stage import plain
from tasks.registry.registry import Registry
from tasks.registry.release_layout import MANIFEST_TAG
from tasks.releases.pulling import pull, try_release


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, target = Path(scratch), Path(scratch) / "target"
        prepare(folder / "home")
        tables = make_tables(args.users, args.items, args.dim, 40)
        bundle = make_bundle(folder / "made", tables, plain(PipelineConfig()))
        registry, digest = Registry(folder / "home"), file_sha256(bundle / "manifest.json")
        version = registry.publish(digest, bundle, "made", {}, {}, {MANIFEST_TAG: digest})
        stored = next((folder / "home").rglob("bundle/manifest.json")).parent
        size = sum(p.stat().st_size for p in stored.rglob("*") if p.is_file()) / 1e6
        rounds = []
        for _ in range(args.rounds + 1):
            copy = timed(lambda: shutil.copytree(stored, target))
            shutil.rmtree(target)
            whole, again = (timed(lambda: pull(registry, version, target)) for _ in range(2))
            rounds.append((copy, whole, timed(lambda: try_release(target, ("all",))), again))
            shutil.rmtree(target)
    copy, whole, smoke, again = np.median(rounds[1:], axis=0)
    print(f"{size:,.0f} MB, {args.users:,} users, {args.items:,} items")
    print(f"plain copy                {copy:6.2f} s  {size / copy:7,.0f} MB/s")
    print(f"pull                      {whole:6.2f} s  {whole / copy:7.1f} times the copy")
    print(f"  of it the smoke query   {smoke:6.2f} s")
    print(f"  and the rest            {whole - smoke:6.2f} s  {(whole - smoke) / copy:7.1f} times the copy")
    print(f"pull again                {again:6.2f} s")


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
