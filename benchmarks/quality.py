"""A model of the catalogue on a public data set, beside what others have published on it.

python -m benchmarks.quality --protocol fixed-split --data DIR --model als --seed 0 --out als.json

Settings (what ships, and the few trials beside it; with --config exactly that file's) and the stopping epoch are chosen
on a validation part cut from train; then the model is trained on all of train and looks at the test once. Protocols,
formats and figures: docs/quality.md.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from expectations.errors import Failure, UserError
from flows.home import home_folder, prepare
from models.catalogue import MODELS

PROTOCOLS = ("fixed-split", "leave-one-out", "sampled-negatives", "kfold-rmse", "temporal")
ROLLING = "judge the last N spans of the protocol `temporal`, each after its own training (default 1)"


def main() -> None:
    options = _options()
    home = home_folder()
    try:
        prepare(home)
        _run(options, home)
    except (UserError, Failure) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UserError) else 1)
    except KeyboardInterrupt:
        print("interrupted: no figures; the same command begins anew", file=sys.stderr)
        sys.exit(130)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--protocol", required=True, choices=PROTOCOLS)
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder of the data set")
    parser.add_argument(
        "--model", required=True, choices=sorted(MODELS), help="model of the catalogue (nightjar models)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings to take instead of choosing (YAML or JSON)"
    )
    seeded = "of validation split, training and resampling (default 0)"
    parser.add_argument("--seed", type=_whole(0, 2**32 - 1), default=0, help=seeded)
    parser.add_argument("--threads", type=_whole(1), default=2, help="CPU threads of a training (default 2)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write figures, settings and trials here")
    parser.add_argument("--rolling", type=_whole(1), default=1, metavar="N", help=ROLLING)
    options = parser.parse_args()
    if options.rolling > 1 and options.protocol != "temporal":
        parser.error("--rolling goes with --protocol temporal only")
    return options


def _whole(least: int, most: int = 1000) -> Callable[[str], int]:
    """Reads whole numbers from `least` to `most`."""

    def read(text: str) -> int:
        if text.isdecimal() and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, is {text}")

    return read


def _run(options: argparse.Namespace, home: Path) -> None:
    """One protocol from files to figures."""
    # Only now: libraries read the environment when they are imported.
    from benchmarks.protocols import running
    from benchmarks.protocols.results import table
    from tasks.machine.config import ResourcesConfig
    from tasks.stages.spark import start_in_background

    if options.out:
        _check_out(options.out)
    if MODELS[options.model].on_spark:
        start_in_background(ResourcesConfig(threads=options.threads), home)
    with tempfile.TemporaryDirectory(prefix="quality-") as scratch:
        trainer = running.Trainer(MODELS[options.model], Path(scratch), options.seed, options.threads, running.Teller())
        result = running.run(options.protocol, options.data, trainer, options.config, home, options.rolling)
    print(table(result))
    if options.out:
        options.out.write_text(json.dumps(result.in_json(), indent=2) + "\n")


def _check_out(path: Path) -> None:
    """Raise UserError where nothing can be written: now, and not when everything is trained."""
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: no such folder {path.parent}")
    if path.is_dir():
        raise UserError(f"--out {path}: is a folder; name a file in it, such as {path / 'result.json'}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UserError(f"--out {path}: cannot be written; choose another place")


if __name__ == "__main__":
    main()
