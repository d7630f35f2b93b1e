"""One protocol from files to figures."""

from pathlib import Path

from benchmarks.protocols import ranking
from benchmarks.protocols.choosing import Trainer, best, choose, look_at_test, refit, systems
from benchmarks.protocols.formats import find_files
from benchmarks.protocols.progress import Teller
from benchmarks.protocols.results import Result, intervals, means
from benchmarks.protocols.settings import candidates, in_json, stopping_at
from benchmarks.protocols.task import Build
from tasks.looks import look
from tasks.memory import Meter

__all__ = ["Teller", "Trainer", "run"]

RANKING: dict[str, Build] = {
    "fixed-split": ranking.fixed_split,
    "leave-one-out": ranking.leave_one_out,
    "sampled-negatives": ranking.sampled_negatives,
    "temporal": ranking.temporal,
}


def run(protocol: str, data: Path, trainer: Trainer, config: Path | None, home: Path) -> Result:
    """Choose, train, look at the test once.

    Raises:
        UserError: the folder does not hold what the protocol needs, or the settings are wrong.
        Failure: a training went wrong.
    """
    model, seed, tell = trainer.model, trainer.seed, trainer.tell
    settings = candidates(model, config)
    with Meter() as meter:
        task = RANKING[protocol](find_files(data), seed)
        tell.say("{}: {:,} users, {:,} items, {:,} interactions".format(data, *task.counts))
        trials = choose(trainer, task, settings)
        chosen = best(trials)
        trained = refit(trainer, task, chosen)
        looks = look(home, task.test.digest, {"protocol": protocol, "model": model.name, "seed": seed})
        found = look_at_test(task, systems(task, model.name, trained, seed), tell)
        peak = meter.peak_since()
    return Result(
        protocol=protocol,
        model=model.name,
        data=str(data),
        counts=task.counts,
        metrics=means(found[model.name]),
        intervals=intervals(found[model.name], seed),
        baselines={name: means(values) for name, values in found.items() if name != model.name},
        columns=task.columns,
        config=in_json(stopping_at(chosen.settings, chosen.epochs)),
        epochs=chosen.epochs,
        chosen=chosen.words,
        chosen_by="{}@{}".format(*task.chosen_by),
        trials=[trial.in_json() for trial in trials],
        seed=seed,
        seconds=round(tell.seconds, 1),
        peak_memory_mib=peak // 2**20,
        test_looks=looks,
        notes=task.notes,
    )
