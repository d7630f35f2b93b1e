"""Groups: what a stage makes or is given together is, to keys and lineage, the artifacts that are in it."""

from dataclasses import dataclass

import pytest

from tasks.engine.groups import Group, artifacts_of, each, is_input
from tasks.engine.lake import Artifact, Ref
from tasks.engine.outputs import Outputs
from tasks.engine.stage import merged

DAYS = ("2026-03-01", "2026-03-02")


@dataclass(frozen=True)
class Pair(Group):
    popularity: Artifact
    index: Artifact


@dataclass(frozen=True)
class Whole(Group):
    pair: Pair
    watches: tuple[Artifact, ...]


def planned(dataset: str, key: str = "k") -> Artifact:
    return Artifact(Ref(dataset, DAYS[0], key))


def taking(out: Outputs, whole: Whole | None, k: int = 5) -> None:
    """A stage that takes a group in a group."""


def clashing(out: Outputs, whole: Whole, index: Artifact) -> None:
    """Two of its inputs have one name."""


@pytest.fixture
def whole() -> Whole:
    return Whole(Pair(planned("popularity"), planned("index")), (planned("watches", "a"), planned("watches", "b")))


def test_a_group_is_read_under_the_names_of_its_fields(stage_of, whole):
    (cell,) = stage_of(taking, "trial")(DAYS[0], whole).cells
    assert {name: [ref.key for ref in refs] for name, refs in cell.read.items()} == {
        "popularity": ["k"], "index": ["k"], "watches": ["a", "b"],
    }  # fmt: skip
    assert cell.parameters == {"k": 5}
    assert [a.ref for a in artifacts_of(whole)] == [ref for refs in cell.read.values() for ref in refs]


def test_a_group_that_is_not_there_is_read_as_nothing(stage_of, whole):
    without, with_it = (stage_of(taking, "trial")(DAYS[0], some).cells[0] for some in (None, whole))
    assert without.read == {} and without.parameters == {"k": 5} and without.key != with_it.key


def test_two_inputs_of_one_name_are_refused(stage_of, whole):
    step = stage_of(clashing, "trial")(DAYS[0], whole, index=planned("index"))
    with pytest.raises(AssertionError, match="clashing: two inputs have one name"):
        _ = step.cells[0].read


def test_every_artifact_of_a_group_is_replaced(whole, tmp_path):
    standing = each(whole, lambda artifact: Artifact(artifact.ref, tmp_path / artifact.ref.folder))
    assert isinstance(standing, Whole)
    assert [a.path for a in artifacts_of(standing)] == [tmp_path / a.ref.folder for a in artifacts_of(whole)]
    assert each(None, lambda artifact: artifact) is None


def test_artifacts_are_told_from_settings_by_what_a_function_says():
    assert all(map(is_input, (Artifact, tuple[Artifact, ...], Pair, Whole | None)))
    assert not any(map(is_input, (int, str | None, tuple[str, ...], dict[str, int])))


def test_a_stage_makes_a_group_for_each_date(stage_of):
    make = stage_of(taking, Pair)
    step = merged(make(day, None) for day in DAYS)
    assert make.produces == ("popularity", "index") and list(step.by_date) == list(DAYS)
    made = step.by_date[DAYS[1]]
    assert (made.index.dataset, made.index.date, made.index.key) == ("index", DAYS[1], step.cells[1].key)
    assert make(DAYS[1], None).made == made


def test_what_is_planned_says_so_when_it_is_read():
    with pytest.raises(AssertionError, match="popularity/date=2026-03-01/k is planned"):
        planned("popularity").table()
