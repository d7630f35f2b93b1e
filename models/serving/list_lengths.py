"""How many users got no list, or a shorter one than was asked for, and why: all seen, all filtered, too few items."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

if TYPE_CHECKING:
    from models.runtime import Bundle

NUM_ASKED = 50
"""Of so many of them it is found out why."""

NO_REASON = "too few items"


@dataclass(frozen=True)
class ListLengths:
    """Lengths of the lists of a release.

    Attributes:
        k: places that were asked for.
        num_empty: users without a list.
        num_short: users with one that is shorter than k.
        reasons: filter that removed most of what was found for them -> users, of up to `NUM_ASKED` of them.
    """

    k: int
    num_users: int
    num_empty: int
    num_short: int
    reasons: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, bundle: "Bundle", user_ids: np.ndarray, sizes: np.ndarray) -> "ListLengths":
        """Of users, and how many items each got."""
        k = int(bundle.pipeline["k"])
        few = user_ids[np.lexsort((user_ids, sizes))][: int((sizes < k).sum())][:NUM_ASKED]
        reasons = Counter(_reason(bundle, int(user)) for user in few.tolist())
        return cls(k, len(sizes), int((sizes == 0).sum()), int(((sizes > 0) & (sizes < k)).sum()), dict(reasons))

    @property
    def share_empty(self) -> float:
        return self.num_empty / self.num_users if self.num_users else 0.0

    @property
    def sentence(self) -> str:
        """How many have none or a short one, and which reasons there are; or that all have whole ones."""
        if not (self.num_empty or self.num_short):
            return f"all {self.num_users:,} users have a list of {self.k}"
        why = ", ".join(f"{reason} {count}" for reason, count in sorted(self.reasons.items(), key=lambda r: -r[1]))
        return (
            f"{self.num_empty:,} of {self.num_users:,} users have no list, {self.num_short:,} one shorter than "
            f"{self.k}; why, of {sum(self.reasons.values())} of them: {why}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON types, for a manifest."""
        return asdict(self)


def _reason(bundle: "Bundle", user_id: int) -> str:
    """The filter that removed most of what was found for a user."""
    found = bundle.candidates(user_id)
    names = [name for name in found.column_names if name.startswith("removed_by_")]
    removed = {name: pc.sum(found[name]).as_py() or 0 for name in names}
    most = max(removed, key=lambda name: removed[name], default="")
    return most.removeprefix("removed_by_") if most and removed[most] else NO_REASON
