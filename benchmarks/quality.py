"""A model of the catalogue on a public data set, beside what others have published on it.

python -m benchmarks.quality --protocol fixed-split --data DIR --model als --seed 0 --out als.json

Settings (what ships, and the few trials beside it; with --config exactly that file's) and the stopping epoch are chosen
on a validation part cut from train; then the model is trained on all of train and looks at the test once. Protocols,
formats and figures: docs/quality.md.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from expectations.errors import Failure, UserError
from flows.environment import home_folder, prepare
from tasks.catalogue import MODELS

PROTOCOLS = ("fixed-split", "leave-one-out", "sampled-negatives", "kfold-rmse", "temporal")


def main() -> None:
    options = _options()
    home = home_folder()
    try:
        prepare(home)
        _run(options, home)
    except (UserError, Failure) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UserError) else 1)


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
    parser.add_argument("--seed", type=int, default=0, help="of validation split, training and resampling (default 0)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of a training (default 2)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write figures, settings and trials here")
    return parser.parse_args()


def _run(options: argparse.Namespace, home: Path) -> None:
    """One protocol from files to figures."""
    # Only now: libraries read the environment when they are imported.
    from benchmarks.protocols import running
    from benchmarks.protocols.results import table
    from tasks.config import ResourcesConfig
    from tasks.spark import start_in_background

    if options.out and not options.out.parent.is_dir():
        raise UserError(f"--out {options.out}: no such folder {options.out.parent}")
    if MODELS[options.model].on_spark:
        start_in_background(ResourcesConfig(threads=options.threads), home)
    with tempfile.TemporaryDirectory(prefix="quality-") as scratch:
        trainer = running.Trainer(MODELS[options.model], Path(scratch), options.seed, options.threads, running.Teller())
        result = running.run(options.protocol, options.data, trainer, options.config, home)
    print(table(result))
    if options.out:
        options.out.write_text(json.dumps(result.in_json(), indent=2) + "\n")


if __name__ == "__main__":
    main()
