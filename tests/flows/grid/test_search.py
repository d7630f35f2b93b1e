"""Optuna's searches: seeded, resumed after a kill as if nothing had happened, hopeless trainings stopped."""

from collections.abc import Callable
from typing import Any

import pytest

from flows.grid.config import AxisConfig, SearchConfig, SweepConfig
from flows.grid.metrics import figures_of
from flows.grid.running import Hopeless
from flows.grid.search import Search, combinations, distribution, open_study
from flows.grid.work import Trial
from tasks.engine.running import Night

RANGE = SweepConfig(axes={"dim": AxisConfig(low=4, high=128, whole=True), "k": [5, 10]})
FEW = SweepConfig(axes={"dim": [8, 32], "k": [5, 10]})


class Killed(BaseException):
    """As sudden as a kill: nobody catches it."""


@pytest.fixture
def search(make_night: Callable[[str], Night], plan_of: Callable[..., Trial]) -> Callable[..., list[tuple[Any, Any]]]:
    nights: dict[str, Night] = {}

    def run(
        name: str, sweep: SweepConfig, config: SearchConfig, die_after: int = 0, **options: Any
    ) -> list[tuple[dict[str, Any], Exception | None]]:
        if name not in nights:
            nights[name] = make_night(name)
        night = nights[name]
        told: list[tuple[dict[str, Any], Exception | None]] = []

        def ended(trial: Trial, error: Exception | None) -> None:
            told.append((trial.row.chosen, error))
            if len(told) == die_after:
                raise Killed

        def score(trial: Trial) -> list[float]:
            figures = figures_of(night.artifact(trial.ref).table(), 10)
            return [figures[objective] for objective in config.objectives]

        Search(sweep, config, night, plan_of, score, ended, **options).run(night.home / "study" / "made.journal")
        return told

    return run


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_a_killed_search_asks_on_as_if_it_had_not_been(search, method):
    config = SearchConfig(method=method, trials=9, startup_trials=3, prune=False, seed=5)
    whole = [chosen for chosen, _ in search("whole", RANGE, config)]
    with pytest.raises(Killed):
        search("killed", RANGE, config, die_after=4)
    again = [chosen for chosen, _ in search("killed", RANGE, config)]
    assert len(whole) == 9 and again == whole


def test_another_seed_asks_for_something_else(search):
    first, second = (
        [chosen for chosen, _ in search(f"s{seed}", RANGE, SearchConfig(method="random", trials=4, seed=seed))]
        for seed in (1, 2)
    )
    assert first != second


def test_tpe_comes_closer_to_the_best_than_it_began(search):
    config = SearchConfig(method="tpe", trials=24, startup_trials=6, prune=False)
    far = [abs(chosen["dim"] - 40) for chosen, _ in search("tpe", RANGE, config)]
    assert sum(far[-6:]) < sum(far[:6]) / 2


def test_a_small_space_is_gone_through_once_and_no_more(search):
    told = search("few", FEW, SearchConfig(method="random", trials=50))
    tried = {(chosen["dim"], chosen["k"]) for chosen, _ in told}
    assert tried == {(8, 5), (8, 10), (32, 5), (32, 10)}


def test_hopeless_trainings_are_stopped_and_not_asked_for_again(search):
    config = SearchConfig(method="random", trials=14, startup_trials=3)
    told = search("stop", RANGE, config)
    stopped = [chosen for chosen, error in told if isinstance(error, Hopeless)]
    kept = [chosen for chosen, error in told if error is None]
    assert stopped and kept
    assert max(abs(c["dim"] - 40) for c in stopped) > min(abs(c["dim"] - 40) for c in kept)
    again = search("stop", RANGE, config)
    # Those that were stopped are not asked for again, and those that stand are only read.
    assert [str(chosen) for chosen, _ in again] == list(dict.fromkeys(map(str, kept)))


def test_rounds_side_by_side_ask_for_the_same_each_time(search):
    config = SearchConfig(method="tpe", trials=8, startup_trials=2, prune=False)
    one, two = ([chosen for chosen, _ in search(name, RANGE, config, max_parallel=2)] for name in ("one", "two"))
    assert one == two


def test_a_deadline_that_has_passed_asks_for_nothing(search):
    assert search("late", RANGE, SearchConfig(method="random"), deadline=0.0) == []


def test_several_objectives_have_a_direction_each(tmp_path):
    config = SearchConfig(method="tpe", objectives=("ndcg@10", "gini@10"))
    study = open_study(tmp_path / "x.journal", config)
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]


def test_ranges_have_no_end_of_combinations():
    from flows.grid.rows import axes_of

    few, many = ({n: distribution(a) for n, a in axes_of(sweep).items()} for sweep in (FEW, RANGE))
    assert combinations(few) == 4 and combinations(many) > 10**8
