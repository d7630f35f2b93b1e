"""A sweep over settings of the night: every combination is a night up to its evaluation, and they share their work.

What two combinations have in common, be it the log or a training, is one artifact in the lake: it is made once, a sweep
that was killed goes on where it stopped, and the same sweep again is free.
"""

import itertools
from collections.abc import Iterator, Mapping
from datetime import date as Date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from prefect import flow, tags
from prefect.artifacts import create_table_artifact

from expectations.errors import UserError
from flows.config import NightlyConfig, check_config
from flows.environment import home_folder, prepare
from flows.run import NightRequest, clear_up, execute, plan_request, start, warm_up
from flows.runs import new_id
from tasks.machine import Machine
from tasks.running import Night, Watcher
from tasks.stage import Step, plain


@flow(name="grid-search", flow_run_name="grid-search")
def grid_search(
    grid: dict[str, list[Any]],
    date: Date | None = None,
    objective: str = "ndcg@10",
    lake: str = "",
    night: NightlyConfig = NightlyConfig(),
) -> dict[str, Any]:
    """Judge every combination of some settings on the same night.

    Args:
        grid: Values to try of each setting, such as {"als.factors": [32, 64], "pipeline.k": [10, 20]}.
        date: Logical day; by default that of a night.
        objective: Metric of the final lists by which the best is chosen, as metric@k.
        lake: Lake URL; by default the folder `lake` of the home.
        night: Settings that the combinations have in common.
    """
    home = home_folder()
    prepare(home)
    folder = home / "grids" / new_id()
    configs = [(chosen, _with(night, chosen)) for chosen in combinations(grid)]
    requests = [
        NightRequest(config=config, date=date, lake=lake or str(home / "lake"), stages=("evaluation",))
        for _, config in configs
    ]
    clear_up(home, requests[0].open_lake(home))
    machine = Machine(night.resources)
    rows: list[dict[str, Any]] = []
    for (chosen, _), request in zip(configs, requests, strict=True):
        started = start(request, home, plan_request(request, home), machine)
        if not rows:
            warm_up(started)
        with tags("nightjar", f"grid:{folder.name}", *(f"{k}={v}" for k, v in chosen.items())):
            execute(started, Watcher())
        rows.append({**chosen, **_figures(started.night, started.plan.step("evaluation"))})
    return _conclude(folder, rows, [config for _, config in configs], objective)


def combinations(grid: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Every choice of one value for each setting, the last setting changing fastest.

    Raises:
        UserError: there is nothing to choose from.
    """
    if not grid or not all(grid.values()):
        raise UserError('grid: name at least one setting and its values, such as {"als.factors": [32, 64]}')
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _with(night: NightlyConfig, chosen: Mapping[str, Any]) -> NightlyConfig:
    values = plain(night)
    for key, value in chosen.items():
        *sections, last = key.split(".")
        place = values
        for section in sections:
            place = place.get(section)
            if not isinstance(place, dict):
                raise UserError(f"grid: {key} is no setting; docs/configuration.md lists them")
        place[last] = value
    return check_config(values, "grid")


def _figures(night: Night, step: Step) -> dict[str, float]:
    """Metrics of the final lists over all users, by `metric@k`."""
    rows = night.artifact(step["evaluation"]).table().to_pylist()
    chosen = [r for r in rows if r["system"] == "final" and r["segment"] == "all"]
    return {f"{r['metric']}@{r['k']}" if r["k"] else r["metric"]: r["value"] for r in chosen}


def _conclude(folder: Path, rows: list[dict[str, Any]], configs: list[NightlyConfig], objective: str) -> dict[str, Any]:
    """Write the table and the winner's config, and show both in Prefect."""
    if objective not in rows[0]:
        known = ", ".join(k for k in rows[0] if "@" in k)
        raise UserError(f"grid: no metric {objective}; there are {known}")
    order = sorted(range(len(rows)), key=lambda n: -rows[n][objective])
    ranked = [{"rank": rank + 1, **rows[n]} for rank, n in enumerate(order)]
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(ranked), folder / "results.parquet")
    (folder / "winner.yaml").write_text(yaml.safe_dump(plain(configs[order[0]]), sort_keys=False))
    create_table_artifact(ranked, key="grid-search", description=f"{len(ranked)} combinations, best {objective} first")
    return {"best": ranked[0], "combinations": len(ranked), "results": str(folder / "results.parquet"),
            "winner": str(folder / "winner.yaml")}  # fmt: skip
