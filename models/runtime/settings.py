"""Which settings a pipeline has, and what each may be."""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import Any

from .arguments import MOST_AGE, MOST_K, by_name, finite_number, flag, one_word, told, whole_number
from .errors import BundleError
from .filters import Filters
from .systems import SYSTEMS

Check = Callable[[str, Any], Any]
"""Takes the name of a setting and its value, and gives the value back; see `arguments`."""

_SHARE: Check = partial(finite_number, least=0, most=1)
_CAP: Check = partial(whole_number, least=0, most=1000)
_POOL: Check = partial(whole_number, least=1, most=10_000)

_WHOLE_LIST: dict[str, Check] = {
    "system": partial(one_word, allowed=tuple(SYSTEMS)),
    "k": partial(whole_number, least=1, most=MOST_K),
    "candidates": _POOL,
    "pool_size": _POOL,
}
_SOURCE: dict[str, Check] = {
    "num_candidates": partial(whole_number, least=0, most=10_000),
    "weight": partial(finite_number, least=0, most=100),
    "items": partial(one_word, allowed=("all", "cold", "warm")),
}
_SECTIONS: dict[str, dict[str, Check]] = {
    "history": {
        "length": partial(whole_number, least=1, most=1000),
        "half_life": partial(finite_number, least=0, most=1e6, above=True),
        "num_neighbours": partial(whole_number, least=1, most=1000),
    },
    "filters": {
        **dict.fromkeys(Filters.REASONS, flag),
        "seen_filter": partial(one_word, allowed=("exact", "bloom")),
        "bloom_false_positive_rate": partial(finite_number, least=0, most=0.5, above=True, below=True),
        "default_age": partial(whole_number, least=0, most=MOST_AGE),
    },
    "rank": {
        # What a system looks at is a share, unless it is said to be something else.
        **dict.fromkeys((name for system in SYSTEMS.values() for name in system.settings), _SHARE),
        **dict.fromkeys(("click_power", "watch_power", "completion_power"), partial(finite_number, least=0, most=10)),
        "rank_constant": partial(finite_number, least=0, most=1000, above=True),
    },
    "order": {
        "mmr_lambda": _SHARE,
        "genre_weight": _SHARE,
        "genre_coverage": _SHARE,
        "by_relevance": flag,
        "series_cap": _CAP,
        "creator_cap": _CAP,
        "fresh_quota": _CAP,
        "fresh_days": partial(finite_number, least=0, most=3650, above=True),
        "exploration_position": _CAP,
        "exploration_head": partial(whole_number, least=0, most=10_000),
        "exploration_seed": partial(whole_number, least=0, most=inf),
    },
}
_MAY_LACK = {"candidates", "genre_coverage", "by_relevance"}
"""Settings that only the night reads, and those that pipelines of before lack."""


def checked(pipeline: Any) -> dict[str, Any]:
    """A pipeline of one's own, in the form of `pipeline.json`, in which every setting is known and may be so.

    Raises:
        BundleError: names the setting, what it is and what is allowed.
    """
    given = by_name("pipeline", pipeline)
    made = _section("pipeline", given, _WHOLE_LIST, others=("sources", *_SECTIONS))
    asks = SYSTEMS[made["system"]].settings
    for name, checks in _SECTIONS.items():
        needed = {"rank_constant", *asks} if name == "rank" else checks.keys() - _MAY_LACK
        made[name] = _section(f"pipeline.{name}", _of(given, name), checks, needed)
    sources = _of(given, "sources")
    made["sources"] = {name: _source(f"pipeline.sources.{name}", one) for name, one in sources.items()}
    return made


def _source(name: str, given: Any) -> dict[str, Any]:
    asked = by_name(name, given)
    on = asked.get("num_candidates") != 0
    return _section(name, asked, _SOURCE, _SOURCE.keys() if on else {"num_candidates"})


def _of(pipeline: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if name not in pipeline:
        raise BundleError(f"pipeline.{name} is missing; pipeline.json of the release has it")
    return by_name(f"pipeline.{name}", pipeline[name])


def _section(
    name: str,
    given: Mapping[str, Any],
    checks: Mapping[str, Check],
    needed: Any = None,
    others: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The settings of a section.

    Args:
        needed: those that must be there; by default all but those that may be lacking.
        others: what else is in it, and is looked at elsewhere.
    """
    for setting in given:
        if setting not in checks and setting not in others:
            raise BundleError(told(f"a setting of {name}", setting, ", ".join([*checks, *others])))
    for setting in sorted(checks.keys() - _MAY_LACK if needed is None else needed):
        if setting not in given:
            raise BundleError(f"{name}.{setting} is missing; pipeline.json of the release has it")
    return {setting: checks[setting](f"{name}.{setting}", given[setting]) for setting in given if setting in checks}
