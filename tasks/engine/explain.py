"""Why a stage ran, or would: what differs between what a plan asks for and what the lake holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tasks.engine.lake import MANIFEST, Lake
from tasks.engine.stage import Cell, Step

SHOWN_PER_KIND = 4


@dataclass(frozen=True)
class Explanation:
    """What one call of a stage would do, and why."""

    stage: str
    date: str
    verdict: Literal["cached", "run"]
    reasons: tuple[str, ...]


def explain(lake: Lake, step: Step) -> list[Explanation]:
    """One explanation for every date of a step."""
    return [explain_cell(lake, cell) for cell in step.cells]


def explain_cell(lake: Lake, cell: Cell) -> Explanation:
    """Compare a call with what stands in the lake under its key, or with the newest of its date that does."""
    conditions = {ref.dataset: lake.condition(ref) for ref in cell.refs}
    if set(conditions.values()) == {"present"}:
        return Explanation(cell.stage.name, cell.date, "cached", ("nothing that decides it has changed",))
    damaged = [f"{name} is {state}" for name, state in conditions.items() if state.startswith("damaged")]
    reasons = damaged or list(_changes(lake, cell)) or ["its artifact was deleted"]
    return Explanation(cell.stage.name, cell.date, "run", tuple(reasons))


def _changes(lake: Lake, cell: Cell) -> Iterator[str]:
    earlier = lake.refs(cell.refs[0].dataset, cell.date)
    if any(ref.key == cell.key for ref in earlier):
        missing = [r.dataset for r in cell.refs if not lake.stands(r)]
        yield f"{', '.join(missing)} missing: deleted, or a run ended before publishing"
        return
    # Several sources of candidates have one dataset, each from a stage of its own.
    whole = [m for ref in reversed(earlier) if (m := _ingredients(lake.manifest(ref)))]
    was, now = next((m for m in whole if m.get("stage") == cell.stage.name), None), cell.ingredients
    if was is None:
        is_damaged = earlier and not whole
        yield (
            f"{MANIFEST} of what was made before is damaged" if is_damaged else f"nothing was made yet for {cell.date}"
        )
        return
    yield from _limited("config", _differences(was["config"], now["config"]))
    yield from _limited("source", [f"{f} changed" for f in _changed_keys(was["code"], now["code"])])
    yield from _limited("input", list(_inputs(was["inputs"], now["inputs"])))
    if "schemas" in was:
        yield from _limited("schema of", [f"{d} changed" for d in _changed_keys(was["schemas"], now["schemas"])])
    else:
        yield "made by an earlier version, whose keys held no schemas"
    yield from _limited("library", _differences(was["libraries"], now["libraries"]))
    yield from _limited("rules of", [f"{name} changed" for name in _changed_keys(was["rules"], now["rules"])])


def _ingredients(manifest: dict[str, Any] | None) -> dict[str, Any] | None:
    """A manifest that tells what its artifact was made from."""
    asked = ("config", "code", "inputs", "libraries", "rules")
    return manifest if manifest and all(isinstance(manifest.get(name), dict) for name in asked) else None


def _limited(kind: str, found: list[str]) -> Iterator[str]:
    yield from (f"{kind} {text}" for text in found[:SHOWN_PER_KIND])
    if len(found) > SHOWN_PER_KIND:
        yield f"{kind}: {len(found) - SHOWN_PER_KIND} more"


def _changed_keys(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return sorted(k for k in {*was, *now} if was.get(k) != now.get(k))


def _differences(was: Any, now: Any, name: str = "") -> list[str]:
    """Leaves that differ, as `section.key 64 -> 128`."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        keys = _changed_keys(was, now)
        return [d for k in keys for d in _differences(was.get(k), now.get(k), f"{name}.{k}".lstrip("."))]
    return [f"{name} {was!r} -> {now!r}"]


def _inputs(was: Mapping[str, list[str]], now: Mapping[str, list[str]]) -> Iterator[str]:
    """Datasets and dates whose artifact is another one than before."""
    old, new = _by_name(was), _by_name(now)
    for name, folders in new.items():
        if name not in old:
            yield f"{name} is new"
        elif old[name] != folders:
            yield f"{name} changed"
    yield from (f"{name} is no longer read" for name in sorted(old.keys() - new.keys()))


def _by_name(inputs: Mapping[str, list[str]]) -> dict[str, set[str]]:
    """Folders by dataset and date; of several sources of one kind there are several."""
    found: dict[str, set[str]] = {}
    for folder in (f for folders in inputs.values() for f in folders):
        found.setdefault(_name(folder), set()).add(folder)
    return found


def _name(folder: str) -> str:
    dataset, date, _ = folder.split("/")
    return f"{dataset} {date.removeprefix('date=')}"
