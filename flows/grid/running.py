"""Brings the trials of a sweep into the lake: what they share as task runs of its own, then trials side by side."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.grid.work import Trial, by_bundle, shared_steps
from flows.night.task_runs import in_its_own_words, submit_steps, unique
from tasks.engine.running import Night

Judged = Callable[[Trial, Exception | None], None]
"""Called with a trial that has ended, and why it failed if it did; from several threads."""


class Hopeless(Exception):
    """Stops a training that is not worth finishing."""


def run_trials(night: Night, trials: Sequence[Trial], max_parallel: int, judged: Judged) -> None:
    """Judge every trial that does not stand yet; a failure stops what depends on it and nothing else.

    Trials of one bundle follow each other, `max_parallel` at a time as memory and threads allow: it is loaded once.
    """
    missing = [t for t in trials if night.missing(t.step)]
    waiting = {t.ref for t in missing}
    for one in trials:
        if one.ref not in waiting:
            judged(one, None)
    errors: list[BaseException] = []
    futures = submit_steps(night, shared_steps(missing), errors)
    turn = threading.Lock()
    groups = []
    for number, (bundle, members) in enumerate(by_bundle(missing).items(), 1):
        body = _body(night, members, max_parallel, judged, turn)
        name = f"trials {number}: {members[0].row.sweep}"
        run = task(name="trials", task_run_name=name, cache_policy=NO_CACHE)(body)
        needed = unique(futures[ref] for one in members for ref in {bundle, *one.step.needs} if ref in futures)
        groups.append((run.submit(return_state=False, wait_for=needed), members))
    for future, members in groups:
        future.wait()
        if not future.state.is_completed() and errors:
            for one in members:
                judged(one, errors[0] if isinstance(errors[0], Exception) else None)
    for future in unique(futures.values()):
        future.wait()


def _body(
    night: Night, members: Sequence[Trial], max_parallel: int, judged: Judged, turn: threading.Lock
) -> Callable[[], None]:
    def one(trial: Trial) -> None:
        error = None
        try:
            night.execute(trial.step)
        except Exception as raised:
            error = in_its_own_words(night, trial.step, raised)
        judged(trial, error)

    def body() -> None:
        with turn, ThreadPoolExecutor(max_parallel) as pool:
            list(pool.map(one, members))

    return body


def run_alone(night: Night, trial: Trial) -> None:
    """One trial with all that it needs, one step after another, in this thread; a search has several of these.

    Raises:
        Exception: of the step that failed, or whatever the night's watcher raises to stop it.
    """
    if not night.missing(trial.step):
        return
    for step in trial.before:
        night.execute(step)
    night.execute(trial.step)
