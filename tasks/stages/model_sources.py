"""A model of the catalogue as a stage of a night: trained on the window, kept as the tables that it retrieves by."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from models.catalogue import MODELS, Model, SourceKind
from tasks.engine.code_digest import Reached, joined, reached
from tasks.engine.lake import Artifact, Ref
from tasks.engine.outputs import Outputs
from tasks.engine.stage import Stage, Step

DATASETS: dict[SourceKind, tuple[str, ...]] = {
    "lists": ("source_lists",),
    "neighbours": ("source_neighbours",),
    "vectors": ("source_user_vectors", "source_item_vectors"),
}
"""Datasets that a source of each kind makes."""


@dataclass(frozen=True)
class ModelStage(Stage):
    """The stage of one model, called like it; its key has the model's own code in it."""

    model: str = ""

    @property
    def name(self) -> str:
        return self.model

    @cached_property
    def reached(self) -> Reached:
        entry = MODELS[self.model]
        places = (place.split(":") for place in (entry.train_at, entry.class_at))
        return joined(super().reached, *(reached(module, name) for module, name in places))

    def over(self, dates: Iterable[str], *, audited_against: Mapping[str, Ref] | None = None, **arguments: Any) -> Step:
        told = {"model": self.model, "kind": MODELS[self.model].source}
        return super().over(dates, audited_against=audited_against, **told, **arguments)


def source_of(model: Model) -> ModelStage:
    """The stage that makes a source of a model; it is called with the settings of the model as `config`."""
    assert model.source, f"{model.name} is no source of its own"
    return ModelStage(
        train_source, DATASETS[model.source], libraries=model.libraries, memory_gib=model.memory_gib, model=model.name
    )


def train_source(
    out: Outputs,
    watches: tuple[Artifact, ...],
    users: Artifact,
    items: Artifact,
    model: str,
    kind: SourceKind,
    config: Any,
) -> None:
    """Train a model of the catalogue on daily `watches` and write what it retrieves by.

    Args:
        users, items: as of the last day of the watches; who gets a list, and what may be on it.
        config: the model's settings.
    """
    import numpy as np
    import pyarrow as pa

    from models.interactions import Histories, Training
    from models.source_tables import interactions_of, tables_of

    log = pa.concat_tables([day.table(["user_id", "item_id", "time", "rating", "positive"]) for day in watches])
    user_ids = np.sort(users.table(["user_id"])["user_id"].to_numpy())
    item_ids = np.sort(items.table(["item_id"])["item_id"].to_numpy())
    num_users, num_items = (int(ids.max(initial=-1)) + 1 for ids in (user_ids, item_ids))
    data = interactions_of(log, num_users, num_items)
    scratch = out.folder / "scratch"
    scratch.mkdir()
    # One thread: how many there are must not decide what comes out.
    training = Training(scratch, getattr(config, "seed", 0), on_progress=out.progress)
    trained = MODELS[model].train(data, config, training)
    seen = Histories.of(log["user_id"].to_numpy(), log["item_id"].to_numpy(), num_users)
    tables = tables_of(trained.model, kind, data, user_ids, item_ids, seen)
    for dataset, table in tables.items():
        out[dataset].write(table)
    out.note(source=model, kind=kind, num_positives=len(data.histories.items), epochs=trained.epochs)
