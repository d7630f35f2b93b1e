"""What a protocol makes of a folder: two cases, one to choose by and one to report, and what is measured in them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.protocols.formats import Log, read_attributes
from expectations.errors import UserError
from models.evaluation.cases import Case
from models.interactions import Histories, Interactions, Ints

Files = dict[str, list[Path]]


@dataclass(frozen=True)
class Task:
    """A ranking protocol on a folder.

    Attributes:
        validation: cut from train; everything is chosen by it.
        test: looked at once, by what was chosen.
        chosen_by: metric and cut-off that choose on validation; larger is better.
        ks: cut-offs that are reported.
        counts: users, items and interactions of the whole folder, by which published figures are found.
        columns: metrics that are shown, such as `recall@10`.
        notes: what a reader of the figures must know.
        earlier: more cases to choose by, further back in time: what is best in one month is not in the next.
        rolled: more tests, further back in time than `test`, the oldest first; nothing is chosen by them either.
        popularity_shares: shares of popularity that may be mixed into a model's scores.
    """

    validation: Case
    test: Case
    chosen_by: tuple[str, int]
    ks: tuple[int, ...]
    counts: tuple[int, int, int]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())
    earlier: tuple[Case, ...] = ()
    rolled: tuple[Case, ...] = ()
    popularity_shares: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        for name, case in (("validation", self.validation), ("test", self.test)):
            if not len(case.train.histories.items) or not len(case.users):
                what = "judge" if len(case.train.histories.items) else "train on"
                raise UserError(
                    f"{name}: nothing is left to {what}. Users need interactions enough for train, validation and test "
                    "(docs/quality.md says how each protocol cuts them)"
                )


@dataclass(frozen=True)
class Numbering:
    """Outside ids of users and items as numbers from 0, in the order of the ids."""

    user_ids: Ints
    item_ids: Ints

    @classmethod
    def of(cls, *logs: Log) -> "Numbering":
        return cls(
            np.unique(np.concatenate([log.users for log in logs])),
            np.unique(np.concatenate([log.items for log in logs])),
        )

    def users(self, ids: Ints) -> Ints:
        return np.searchsorted(self.user_ids, ids)

    def items(self, ids: Ints) -> Ints:
        return np.searchsorted(self.item_ids, ids)

    def interactions(self, log: Log, ordered: bool, attributes: Histories | None = None) -> Interactions:
        """A log as models take it; with times the oldest of each user comes first."""
        users = self.users(log.users)
        order = np.lexsort((np.arange(len(users)), users if log.times is None else log.times, users))
        return Interactions(
            histories=Histories.of(users[order], self.items(log.items)[order], len(self.user_ids)),
            num_items=len(self.item_ids),
            ordered=ordered,
            times=None if log.times is None else log.times[order],
            ratings=None if log.ratings is None else log.ratings[order],
            attributes=attributes,
        )

    def attributes(self, files: Files) -> Histories | None:
        """Attributes of the numbered items, if the folder tells any."""
        told = read_attributes(files)
        pairs = [(n, a) for n, item in enumerate(self.item_ids.tolist()) for a in told.get(item, ())]
        if not pairs:
            return None
        _, numbers = np.unique(np.array([a for _, a in pairs]), return_inverse=True)
        return Histories.of(np.array([n for n, _ in pairs]), numbers, len(self.item_ids))


def only(files: Files, kind: str, count: int, needed: str) -> list[Path]:
    """The files of a kind, of which there must be exactly so many. `needed` says what the protocol is about.

    Raises:
        UserError: there are more or fewer.
    """
    there = files.get(kind, [])
    if len(there) == count:
        return there
    names = ", ".join(f"{path.name} ({kind})" for kind, paths in files.items() for path in paths)
    found = f"found {', '.join(p.name for p in there)}" if there else "found none"
    raise UserError(f"{needed}; {found} among: {names}. Formats are in docs/quality.md")


Build = Callable[..., Task]
"""Files of a folder and a seed -> the task; in time, of several `spans` too."""


def judged(train: Interactions, past: Histories, relevant: Histories, negatives: Ints | None = None) -> Case:
    """A case about all users of `train` who have something relevant."""
    users = np.flatnonzero(relevant.sizes > 0)
    return Case(train, users, past.take(users), relevant.take(users), negatives)
