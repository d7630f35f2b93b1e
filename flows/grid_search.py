"""A sweep over settings of the night: every configuration judged on the same days, and what they share made once.

Read `flows/grid/work.py` for what is shared, `running.py` for how a grid is gone through, `search.py` for how Optuna
chooses instead. What two configurations have in common, be it the log, a training or a whole bundle, is one artifact in
the lake, and so is the judgement of each: a sweep that was killed goes on where it stopped, and the same sweep again is
free.
"""

from contextvars import ContextVar
from datetime import date as Date
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from pydantic import Field

from flows.config import NightlyConfig
from flows.grid.config import GridConfig, SearchConfig, SweepConfig
from flows.grid.driver import Listener, carry_out
from flows.grid.request import GridRequest
from flows.grid.results import table_for_people
from flows.home import home_folder, prepare
from tasks.machine.home import lake_of

LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)
"""Who the command line wants told of the sweep that it starts."""


@flow(name="grid-search", flow_run_name="grid-search")
def grid_search(
    sweeps: dict[str, SweepConfig],
    search: SearchConfig = SearchConfig(),
    date: Date | None = None,
    lake: str = "",
    max_parallel: Annotated[int, Field(ge=0, le=64)] = 0,
    night: NightlyConfig = NightlyConfig(),
) -> dict[str, Any]:
    """Judge configurations of one or several systems on the same night.

    Args:
        sweeps: What varies, system by system: {"all": {"axes": {"pipeline.k": [5, 10, 20]}}}.
        search: Every combination, or what Optuna chooses; and which figures decide.
        date: Logical day; by default that of a night.
        lake: Lake URL, or a folder below the home; by default the home's lake.
        max_parallel: Configurations judged side by side (≤ 64); 0 for as many as `resources.threads`.
        night: Settings that the configurations have in common.
    """
    home = home_folder()
    prepare(home)
    grid = GridConfig(sweeps=sweeps, search=search)
    request = GridRequest(grid, night, date, lake_of(home, lake), max_parallel)
    summary = carry_out(request, home, LISTENER.get() or Listener())
    rows = table_for_people(summary["results"])
    create_table_artifact(rows, key="grid-search", description=f"{len(rows)} configurations, the best first")
    told = "\n".join(f"- best {name}: `{path}`" for name, path in summary["winners"].items())
    create_markdown_artifact(
        f"**Grid {summary['id']}**\n\n{told}\n- report: `{summary['report']}`", key="grid", description="What came out"
    )
    return summary
