"""A run that took more memory than it was given says so, and names the stage."""

from flows.night.run import memory_above
from tasks.engine.running import Outcome, State


def _outcome(step: str, gib: float, state: State = "ran") -> Outcome:
    return Outcome(step, state, seconds=1.0, rows=1, cells=1, ran=1, peak_bytes=int(gib * 2**30))


def test_the_stage_with_the_most_is_named_with_what_it_took():
    told = memory_above([_outcome("als", 2.5), _outcome("towers", 3.7), _outcome("index", 9, "cached")], 2)
    assert told.startswith("towers ran while the run took 3.7 GiB, more than resources.memory_gib (2)")


def test_what_fits_is_no_warning():
    assert memory_above([_outcome("als", 2.0)], 2) == memory_above([], 2) == ""
