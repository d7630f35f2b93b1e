"""What a grid file can hold, and how mistakes in it are told."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.distributions import IntDistribution

from expectations.errors import UserError
from flows.grid.config import AxisConfig, check_grid, load_grid
from flows.grid.metrics import objectives_of
from flows.grid.request import GridRequest
from flows.grid.rows import all_rows, axes_of, short_names
from flows.grid.search import distribution
from models.evaluation.config import EvaluationConfig

STUDY = Path(__file__).resolve().parents[3] / "deployments" / "grid.yaml"


def rows_of(**axes: Any) -> list[Any]:
    grid = check_grid({"sweeps": {"one": {"axes": axes}}}, "test")
    return all_rows(grid, load_grid(STUDY)[1])


def test_the_study_has_its_138_configurations():
    rows = all_rows(*load_grid(STUDY))
    assert [sum(r.sweep == s for r in rows) for s in ("youtube", "netflix", "hybrid")] == [36, 30, 72]
    assert len({str(r.config) for r in rows}) == 138
    first = rows[0]
    assert first.config.system == "youtube" and (first.config.towers.dim, first.config.transformer.dim) == (32, 32)
    assert first.config.pipeline.candidates == 50 and first.config.pipeline.k == 5


def test_the_study_is_on_the_demo_s_night():
    demo = yaml.safe_load((STUDY.parent / "demo.yaml").read_text())
    assert yaml.safe_load(STUDY.read_text())["night"] == demo


def test_set_changes_what_all_configurations_have():
    _, night = load_grid(STUDY, ("world.num_users=77",))
    assert night.world.num_users == 77


def test_an_axis_is_named_after_its_setting_or_names_several():
    grid = check_grid(
        {"sweeps": {"a": {"axes": {"towers.dim": [8], "x": {"keys": ["als.factors"], "values": [4]}}}}}, "t"
    )
    axes = axes_of(grid.sweeps["a"])
    assert axes["towers.dim"].keys == ("towers.dim",) and axes["x"].keys == ("als.factors",)


@pytest.mark.parametrize(
    "axes, says",
    [
        ({"towers.dimm": [8]}, "unknown key towers.dimm, did you mean dim?"),
        ({"towerz.dim": [8]}, "unknown key towerz, did you mean towers?"),
        ({"towers.dim.x": [8]}, "towers.dim.x is no setting"),
        ({"towers.dim": [8, -1]}, "one with towers.dim=-1: towers.dim is -1"),
        ({"pipeline.k": {"low": 1, "high": 5}}, "axis one.pipeline.k is a range"),
    ],
)
def test_a_mistake_in_a_configuration_names_it(axes, says):
    with pytest.raises(UserError, match="grid: ") as refused:
        rows_of(**axes)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "values, says",
    [
        ({"sweeps": {"one": {"axes": {"towers.dim": []}}}}, "axis one.towers.dim is empty"),
        ({"sweeps": {"one": {"axes": {}}}}, "sweeps.one.axes"),
        ({"sweeps": {}}, "sweeps"),
        ({"sweeps": {"one": {"axes": {"towers.dim": [8]}}}, "search": {"method": "guess"}}, "search.method"),
        ({"sweeps": {"one": {"axes": {"k": {"low": 5, "high": 1}}}}}, "low is 5; it must be below high"),
        ({"sweps": {}}, "sweps"),
        ({"sweeps": ["a", "b"]}, "sweeps: must hold sweeps by name, is ['a', 'b']"),
        ({"sweeps": "hello"}, "sweeps: must hold sweeps by name"),
        ({"sweeps": {"one": [1]}}, "sweep one: must hold `axes`"),
        ({"sweeps": {"one": {"axes": "hello"}}}, "axes of sweep one: must hold axis: [value, ...]"),
        ({"sweeps": {"one": {"axes": {"pipeline.k": 5}}}}, "axis one.pipeline.k is 5; give it values, such as [5]"),
        (
            {"sweeps": {"one": {"axes": {"pipeline": [{"k": 5}]}}}},
            "axis one.pipeline has the value {'k': 5}; a value is",
        ),
        ({"sweeps": {"one": {"axes": {"pipeline.k": [5, 10, 5.0]}}}}, "axis one.pipeline.k has the value 5.0 twice"),
        (
            {"sweeps": {"one": {"axes": {"pipeline.k": [5], "x": {"keys": ["pipeline.k"], "values": [9]}}}}},
            "axes pipeline.k and x of sweep one both set pipeline.k",
        ),
        ({"sweeps": {"../../x": {"axes": {"towers.dim": [8]}}}}, "sweep '../../x': a name is letters"),
        ({"sweeps": {"one": {"axes": {"k": {"low": 0, "high": 1, "log": True}}}}}, "low is 0; with `log: true`"),
        (
            {"sweeps": {"one": {"axes": {"k": {"low": 4.2, "high": 4.8, "whole": True}}}}},
            "no whole number lies between 4.2 and 4.8",
        ),
    ],
)
def test_a_mistake_in_the_file_names_its_place(values, says):
    with pytest.raises(UserError) as refused:
        check_grid(values, "test")
    assert says in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "axis, says",
    [
        ({"low": 4, "high": 6}, "write `whole: true` beside low and high"),
        ({"low": 4, "high": 6000, "whole": True}, "pipeline.k=6000: pipeline.k is 6000"),
        ([5, 10, 6000], "pipeline.k=6000: pipeline.k is 6000"),
    ],
)
def test_a_search_checks_every_value_and_both_ends_before_it_begins(axis, says):
    grid = check_grid({"search": {"method": "random"}, "sweeps": {"one": {"axes": {"pipeline.k": axis}}}}, "test")
    with pytest.raises(UserError) as refused:
        GridRequest(grid, load_grid(STUDY)[1], None, "lake").rows()
    assert says in str(refused.value)


def test_whole_numbers_of_a_range_lie_within_it():
    assert AxisConfig(low=4.2, high=6.8, whole=True).ends == (5, 6)
    assert distribution(AxisConfig(low=4.2, high=6.8, whole=True)) == IntDistribution(5, 6)


def test_objectives_have_full_names_and_unknown_ones_list_the_known():
    assert objectives_of(["ndcg", "recall@10"], EvaluationConfig()) == ("ndcg@k", "recall@10")
    with pytest.raises(UserError, match=r"no objective ndgc@k; there are ndcg@1, .*study_combined@k"):
        objectives_of(["ndgc"], EvaluationConfig())


def test_a_setting_goes_by_its_last_word_where_no_other_ends_so():
    names = ["pipeline.k", "pipeline.sources.als.weight", "pipeline.sources.towers.weight", "embedding"]
    assert short_names(names) == dict(zip(names, ["k", *names[1:3], "embedding"], strict=True))
