import dataclasses

from models.evaluation.ablations import CONTROL, ablations
from models.serving.config import FiltersConfig, PipelineConfig, SourceConfig, SourcesConfig
from tasks.engine.stage import plain


def leaves(settings: dict, prefix: str = "") -> dict[str, object]:
    return {
        leaf: value
        for key, part in settings.items()
        for leaf, value in (
            leaves(part, f"{prefix}{key}.") if isinstance(part, dict) else {f"{prefix}{key}": part}
        ).items()
    }


def changes(whole: dict, changed: dict) -> dict[str, object]:
    before, after = leaves(whole), leaves(changed)
    return {name: value for name, value in after.items() if value != before[name]}


def test_every_source_step_and_filter_is_left_out_once_and_nothing_else_changes():
    whole = plain(PipelineConfig())
    systems = ablations(whole)
    assert next(iter(systems)) == CONTROL
    assert plain(systems.pop(CONTROL)) == whole
    off = {"transformer", *SourcesConfig.LEFT_OUT_BY_DEFAULT}
    parts = [f.name for f in dataclasses.fields(SourcesConfig) if f.name not in off]
    parts += ["ranker", "retrieval_order", "mmr", "caps", "fresh_quota", "exploration"]
    parts += [f"{name} filter" for name in ("seen", "region", "tier", "maturity", "availability")]
    assert set(systems) == {f"without {part}" for part in parts}
    differences = {name: changes(whole, plain(changed)) for name, changed in systems.items()}
    assert differences["without als"] == {"sources.als.num_candidates": 0}
    assert differences["without region filter"] == {"filters.region": False}
    assert differences["without mmr"] == {"order.mmr_lambda": 1.0}
    assert all(differences.values())


def test_what_is_off_already_is_not_left_out_again():
    off = PipelineConfig(filters=FiltersConfig(tier=False))
    assert "without tier filter" not in ablations(plain(off))


def test_a_source_of_the_catalogue_is_left_out_where_the_release_has_it():
    sources = {"ease": SourceConfig(num_candidates=20)}
    asks = plain(PipelineConfig(sources=SourcesConfig(**sources)))
    systems = ablations(asks)
    assert plain(systems[CONTROL]) == asks
    assert changes(asks, systems["without ease"]) == {"sources.ease.num_candidates": 0}
    assert all("ease" not in other["sources"] for other in ablations(plain(PipelineConfig())).values())
