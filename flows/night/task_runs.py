"""Runs a plan as Prefect tasks: one a step, side by side where the plan allows, Cached where nothing changed.

Parts that a stage tells of, such as the shards of an index, are task runs of their own.
"""

from collections.abc import Callable, Iterable
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.states import Completed, State

from expectations.errors import Failure
from flows.outages import in_our_words
from tasks.engine.lake import Ref
from tasks.engine.running import Night, Outcome
from tasks.engine.stage import Step

Futures = dict[Ref, PrefectFuture[Any]]
"""Artifact -> the task run that makes it."""


def run_steps(night: Night, steps: Iterable[Step], outcomes: list[Outcome]) -> None:
    """Submit every step behind those it reads from; adds to `outcomes` how each ended.

    Raises:
        UserError, Failure: of the first step that failed; what does not depend on it has run all the same.
    """
    errors: list[BaseException] = []
    for future in unique(submit_steps(night, steps, errors).values()):
        future.wait()
        if future.state.is_completed():
            outcomes.append(future.result())
    if errors:
        raise errors[0]


def submit_steps(night: Night, steps: Iterable[Step], errors: list[BaseException]) -> Futures:
    """Submit every step behind those it reads from; returns at once, what fails adds to `errors`."""
    night.around = _as_task_run
    futures: Futures = {}
    for step in steps:
        before = unique(futures[ref] for ref in step.needs if ref in futures)
        run = task(name=step.name, task_run_name=step.name, cache_policy=NO_CACHE)(_body(night, step, errors))
        future = run.submit(return_state=False, wait_for=before)
        futures |= {ref: future for cell in step.cells for ref in cell.refs}
    return futures


def unique(futures: Iterable[PrefectFuture[Any]]) -> list[PrefectFuture[Any]]:
    """Each future once: a step makes several artifacts."""
    return list({id(future): future for future in futures}.values())


def _as_task_run(name: str, work: Callable[[], Any]) -> Any:
    made = []

    # What it makes goes by this list, not through Prefect: an index is no result to keep.
    def part() -> None:
        made.append(work())

    task(name=name.partition(" ")[0], task_run_name=name, cache_policy=NO_CACHE)(part)()
    return made[0]


def _body(night: Night, step: Step, errors: list[BaseException]) -> Callable[[], Outcome | State[Any]]:
    def body() -> Outcome | State[Any]:
        try:
            outcome = night.execute(step)
        except Exception as error:
            told = in_its_own_words(night, step, error)
            errors.append(told)
            night.watcher.failed(step, told)
            raise
        if outcome.state == "cached":
            return Completed(name="Cached", message="nothing that decides it has changed", data=outcome)
        return outcome

    return body


def in_its_own_words(night: Night, step: Step, error: Exception) -> Exception:
    """An error as one message for people; what was away, such as room on the disk, named as such."""
    told = in_our_words(error, night.home, step.name)
    if told is error:
        return error
    told = told or Failure(f"{step.name}: {type(error).__name__}: {error} (--debug shows where)")
    told.__cause__ = error
    return told
