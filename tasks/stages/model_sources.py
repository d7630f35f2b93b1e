"""A model of the catalogue as a stage of a night: trained on the window, kept as the tables that it retrieves by."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from models.catalogue import MODELS, Model, SourceKind
from tasks.engine.code_digest import Reached, joined, reached
from tasks.engine.groups import Group
from tasks.engine.lake import Artifact
from tasks.engine.outputs import Outputs
from tasks.engine.stage import Made, P, Stage, Step
from tasks.stages.groups import Known


@dataclass(frozen=True)
class Vectors(Group):
    """Users and items whose inner products are scores."""

    source_user_vectors: Artifact
    source_item_vectors: Artifact


MADE: dict[SourceKind, str | type[Vectors]] = {
    "lists": "source_lists", "neighbours": "source_neighbours", "vectors": Vectors
}  # fmt: skip
"""What a source of each kind makes."""


@dataclass(frozen=True)
class ModelStage(Stage[P, Made]):
    """The stage of one model, named after it; its key has the model's own code in it."""

    model: str = ""

    @property
    def name(self) -> str:
        return self.model

    @cached_property
    def reached(self) -> Reached:
        entry = MODELS[self.model]
        places = (place.split(":") for place in (entry.train_at, entry.class_at))
        return joined(super().reached, *(reached(module, name) for module, name in places))


def source_step(
    model: Model, date: str, watches: tuple[Artifact, ...], known: Known, config: Any
) -> Step[Artifact | Vectors]:
    """The step that makes a source of a model, with the model's settings as `config`."""
    assert model.source, f"{model.name} is no source of its own"
    stage = ModelStage(
        train_source,
        MADE[model.source],
        libraries=model.libraries,
        memory_gib=model.memory_gib,
        trains="at once",
        model=model.name,
    )
    return stage(date, watches=watches, known=known, model=model.name, kind=model.source, config=config)


def train_source(
    out: Outputs, watches: tuple[Artifact, ...], known: Known, model: str, kind: SourceKind, config: Any
) -> None:
    """Train a model of the catalogue on daily `watches` and write what it retrieves by.

    Args:
        known: as of the last day of the watches; who gets a list, and what may be on it.
        config: the model's settings.
    """
    import numpy as np
    import pyarrow as pa

    from models.interactions import Histories, Training
    from models.source_tables import interactions_of, tables_of

    log = pa.concat_tables([day.table(["user_id", "item_id", "time", "rating", "positive"]) for day in watches])
    user_ids = np.sort(known.users.table(["user_id"])["user_id"].to_numpy())
    item_ids = np.sort(known.items.table(["item_id"])["item_id"].to_numpy())
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
