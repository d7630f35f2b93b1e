"""Settings of the tasks that decide where and how work runs, never what comes out."""

from typing import Annotated, Literal

from pydantic import Field

from expectations.settings import settings


@settings
class ResourcesConfig:
    """What a night may use. Placement only: no value here changes any artifact."""

    memory_gib: Annotated[float, Field(ge=2, le=4096)] = 8
    """Memory that steps side by side may declare to need, in GiB; a step waits for room. It is no bound: a step that
    takes more than it declares is not stopped, and the run warns of it."""

    threads: Annotated[int, Field(ge=1, le=1024)] = 2
    """CPU threads that steps running side by side share."""

    stage_hours: Annotated[float, Field(ge=0, le=8760)] = 12
    """Longest that a stage may run, in hours; a night with one that takes longer is ended as failed. 0: no limit."""

    night_hours: Annotated[float, Field(ge=0, le=8760)] = 24
    """The same of a whole night: one that hangs would hold up every night after it."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where training and embedding run; `auto` takes a GPU when there is one."""

    spark_master: Annotated[str, Field(pattern=r"^(local(\[.+\])?|spark://.+|yarn|k8s://.+)$")] = "local[2]"
    """Spark master URL: `local[2]`, `spark://host:7077`, `yarn`, `k8s://...`."""

    registry: str = ""
    """MLflow tracking URL (`http://host:5000`, `postgresql://...`); empty for the home's, see `nightjar home`."""
