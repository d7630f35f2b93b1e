"""The plan of a night, frozen: a change of its graph must be meant."""

import dataclasses
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from prefect.utilities.callables import parameter_schema

from expectations.datasets import DATASETS
from expectations.errors import UserError
from flows.config import SECTIONS, NightlyConfig, WindowConfig, calendar, load_config
from flows.night.plan import Plan
from flows.night.request import NightRequest
from flows.night.sources import open_source
from flows.nightly import nightly, plan_night, plan_request
from models.runtime.systems import SYSTEMS
from tasks.engine.stage import Stage
from tasks.stages import generation
from tasks.stages.groups import Watched
from tasks.stages.model_sources import MADE, train_source

GRAPH = """
catalogue <-
events <- catalogue
interactions <- events
features <- catalogue events
popularity <- events
als <- interactions
item_similarity <- interactions
content_similarity <- catalogue
towers <- catalogue events
embeddings <- catalogue towers
index <- catalogue embeddings features towers
ranker <- catalogue embeddings events features towers
bundle <- als catalogue content_similarity embeddings features index item_similarity popularity ranker towers
recommendations <- bundle
oracle <- catalogue events
evaluation <- bundle catalogue events features oracle popularity recommendations
release <- bundle evaluation index recommendations
report <- als bundle catalogue content_similarity embeddings evaluation events features index interactions
  item_similarity oracle popularity ranker recommendations release towers
"""


FOUNDATION = """
sentences <- events
transformer <- catalogue sentences
foundation_embeddings <- catalogue sentences transformer
"""
"""What the systems that ask a transformer add."""


HOME = Path("/nowhere")
"""Made data remember nothing there."""


def _plan(*overrides: str) -> Plan:
    config = load_config(None, overrides)
    return plan_night(config, calendar(config.window, date(2026, 1, 30)), open_source(config, HOME))


def _graph(plan: Plan) -> dict[str, set[str]]:
    made_by = {r: s.name for s in plan.steps for c in s.cells for r in c.refs}
    return {s.name: {made_by[r] for r in s.needs} for s in plan.steps}


def test_the_graph_is_the_frozen_one():
    lines = GRAPH.replace("\n  ", " ").strip().splitlines()
    assert _graph(_plan()) == {s: set(needs.split()) for s, _, needs in (line.partition(" <-") for line in lines)}


@pytest.mark.parametrize(("system", "adds"), [("youtube", False), ("netflix", True), ("hybrid", True)])
def test_systems_with_a_transformer_add_its_stages_and_hand_it_to_the_bundle(system, adds):
    base, other = _graph(_plan()), _graph(_plan(f"system={system}"))
    lines = FOUNDATION.strip().splitlines()
    added = {s: set(needs.split()) for s, _, needs in (line.partition(" <-") for line in lines)}
    assert {s: needs for s, needs in other.items() if s not in base} == (added if adds else {})
    assert other["bundle"] - base["bundle"] == ({"transformer", "foundation_embeddings"} if adds else set())


def test_systems_share_every_trained_part():
    plans = {system: _plan(f"system={system}") for system in SYSTEMS}
    keys = {system: {s.name: s.cells[0].key for s in plan.steps} for system, plan in plans.items()}
    for stage in ("towers", "ranker", "als", "item_similarity", "index"):
        assert len({keys[system][stage] for system in keys}) == 1, stage
    assert keys["netflix"]["transformer"] == keys["hybrid"]["transformer"]
    assert len({keys[system]["bundle"] for system in keys}) == len(SYSTEMS)


def test_every_step_comes_after_what_it_reads():
    made: set = set()
    for step in _plan().steps:
        assert step.needs <= made
        made |= {r for c in step.cells for r in c.refs}


def test_every_declared_dataset_is_made_by_one_stage():
    produced = [d for s in _plan("system=hybrid").steps for d in s.stage.produces]
    produced += [d for made in MADE.values() for d in Stage(train_source, made).produces]  # of models of the catalogue
    assert sorted([*produced, "trial"]) == sorted(DATASETS)  # a trial is made by a sweep, of a night's bundle


def test_a_model_of_the_catalogue_is_a_stage_and_a_source():
    base, other = _plan(), _plan("pipeline.sources.ease.num_candidates=50")
    graph = _graph(other)
    assert graph["ease"] == {"catalogue", "events"} and graph.keys() - _graph(base).keys() == {"ease"}
    assert graph["bundle"] - _graph(base)["bundle"] == {"ease"}
    keys = [{s.name: s.cells[0].key for s in plan.steps} for plan in (base, other)]
    later = {"bundle", "recommendations", "evaluation", "release", "report"}
    assert {name for name in keys[0] if keys[0][name] != keys[1][name]} == later
    settings = "models.ease.regularisation=7"
    changed = _plan("pipeline.sources.ease.num_candidates=50", settings)
    assert {s.name for s in changed.steps if s.cells[0].key != keys[1][s.name]} == {"ease", *later}
    assert {s.name: s.cells[0].key for s in _plan(settings).steps} == keys[0]


def test_nothing_is_learnt_from_a_judged_day():
    plan = _plan()
    judged = set(plan.days.judge)
    for step in plan.steps[: [s.name for s in plan.steps].index("bundle") + 1]:
        for cell in step.cells if step.name != "events" else ():
            read = {ref.date for refs in cell.read.values() for ref in refs}
            assert not read & judged, f"{step.name} reads {read & judged}"


def test_training_features_end_before_the_ranker_s_examples():
    plan = _plan()
    ranker = plan.step("ranker").cells[0].read
    as_of = {ranker[n][0].date for n in ("user_features", "item_features", "histories", "exposures")}
    assert as_of == {plan.days.split} and min(r.date for r in ranker["watches"]) > plan.days.split


def test_a_log_without_impressions_and_searches_is_planned_without_them(monkeypatch):
    """Like those of `tasks.stages.ingestion`, whose events are watches alone."""
    stage: Stage[..., Watched] = Stage(generation.events.function, Watched)
    monkeypatch.setattr(generation, "events", stage)
    plan = _plan()
    for cell in (*plan.step("features").cells, *plan.step("towers").cells):
        assert cell.read["watches"] and cell.read["searches"] == ()


def test_searches_end_where_the_watches_do():
    for step in (_plan().step("features"), _plan().step("towers")):
        for cell in step.cells:
            days = {name: [r.date for r in cell.read[name]] for name in ("watches", "searches")}
            assert days["searches"] == days["watches"] and days["watches"][-1] == cell.date


@pytest.mark.parametrize(
    "override, reruns",
    [
        ("resources.threads=1", set()),
        ("resources.memory_gib=32", set()),
        ("pipeline.order.mmr_lambda=0.5", {"bundle", "recommendations", "evaluation", "release", "report"}),
        ("index.min_recall=0.5", {"index", "bundle", "recommendations", "evaluation", "release", "report"}),
        ("report.title=Owl", {"report"}),
    ],
)
def test_a_setting_changes_the_keys_of_its_descendants_only(override, reruns):
    before, after = _plan(), _plan(override)
    changed = {a.name for a, b in zip(after.steps, before.steps, strict=True) if a.cells[0].key != b.cells[0].key}
    assert changed == reruns


def test_a_later_night_shares_its_days():
    config = NightlyConfig()
    nights = [
        plan_night(config, calendar(WindowConfig(), date(2026, 1, d)), open_source(config, HOME)) for d in (30, 31)
    ]
    shared = set.intersection(*(set(n.step("events").refs("watches")) for n in nights))
    assert len(shared) == 29


def _declared(cls: Any, values: Any) -> Iterator[tuple[str, str, Any, Any]]:
    """Class, name, pydantic's field and value of every setting below a settings object."""
    for name, field in cls.__pydantic_fields__.items():
        value = getattr(values, name)
        yield f"{cls.__module__}.{cls.__name__}".replace(".", "__"), name, field, value
        if dataclasses.is_dataclass(value):
            yield from _declared(type(value), value)


SETTINGS = {
    (c, n): f for c, n, f, value in _declared(NightlyConfig, NightlyConfig()) if not c.endswith("NightlyConfig")
}
FORM = parameter_schema(nightly).model_dump()
KEYWORDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum",
            "min_length": "minLength", "max_length": "maxLength", "pattern": "pattern"}  # fmt: skip


def test_made_data_end_after_ten_years(tmp_path):
    request = NightRequest(load_config(None), date(2099, 1, 1), str(tmp_path / "lake"))
    with pytest.raises(UserError, match="date 2099-01-01: the data ends on 2035-12-29; choose that day or an earlier"):
        plan_request(request, tmp_path)


def test_the_form_has_every_section_with_what_it_is_for():
    assert set(FORM["properties"]) == {"date", "lake", "stages", "catch_up_days", *SECTIONS}
    for name, shown in FORM["properties"].items():
        assert shown["title"] == name
        section = FORM["definitions"].get(shown.get("$ref", "").rpartition("/")[2], {})
        assert shown.get("description") or section.get("description"), name


@pytest.mark.parametrize("cls, name", SETTINGS)
def test_every_setting_is_in_the_form_with_description_and_bounds(cls, name):
    # Two classes of one name are told apart by their module.
    shown = (FORM["definitions"].get(cls) or FORM["definitions"][cls.rpartition("__")[2]])["properties"][name]
    declared = SETTINGS[cls, name]
    assert shown["title"] == name
    meaning = shown.get("description") or FORM["definitions"][shown["$ref"].rpartition("/")[2]]["description"]
    assert (declared.description or "") in meaning and meaning
    choices = [shown, *shown.get("anyOf", ()), *([shown["items"]] if "items" in shown else ())]
    for bound in declared.metadata:
        for attribute, keyword in KEYWORDS.items():
            limit = getattr(bound, attribute, None)
            if limit is not None:
                keyword = keyword.replace("Length", "Items") if shown.get("type") == "array" else keyword
                assert any(c.get(keyword) == limit for c in choices), f"{cls}.{name}: {attribute}={limit}"
                assert shown.get("type") == "array" or f"{limit}" in meaning, f"{cls}.{name} does not tell its bounds"
    if get_origin(declared.annotation) is Literal:
        assert shown["enum"] == list(get_args(declared.annotation))


def test_no_two_steps_have_one_name():
    """A model of the catalogue is a stage of its own name."""
    plan = _plan()
    with pytest.raises(ValueError, match="two stages are called 'bundle'"):
        plan.add(plan.step("bundle"))


def test_what_a_log_tells_beside_the_plays_is_read_by_those_who_read_it_of_made_data(tmp_path):
    days = [f"2020-03-{day:02}" for day in range(1, 9)]
    (tmp_path / "lists.csv").write_text("user,time,shown\n" + "".join(f"u,{day},a-1 b-0\n" for day in days))
    for name, column in (("actions", "action"), ("searches", "query")):
        rows = "".join(f"u,a,{day},like\n" for day in days)
        (tmp_path / f"{name}.csv").write_text(f"user,item,time,{column}\n{rows}")
    beside = ("impressions.shown=shown", "impressions.mark='-'", "actions.path=actions.csv")
    settings = ("kind=table", f"impressions.path={tmp_path / 'lists.csv'}", *beside, "searches.path=searches.csv")
    window = ("window.train_days=6", "window.rank_days=2", "window.judge_days=1", "system=hybrid")
    config = load_config(None, [f"source.{setting}" for setting in settings] + [*window])
    graph = _graph(plan_request(NightRequest(config, None, str(tmp_path / "lake")), tmp_path / "home"))
    read_by = {n: {name for name, needs in graph.items() if n in needs} for n in ("impressions", "actions", "searches")}
    assert read_by["impressions"] == {"features", "ranker", "report"}
    assert read_by["actions"] == {"sentences", "report"}
    assert read_by["searches"] == {"features", "sentences", "towers", "report"}
    assert all(graph[name] == {"catalogue"} for name in read_by)
