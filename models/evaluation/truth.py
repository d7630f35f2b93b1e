"""What people did on the judged days that a recommender of the day before could have known to recommend."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import UserError
from models.compressed_rows import offsets_of
from models.evaluation.splits import check_no_leak
from models.metrics.item_sets import ItemSets

RECENT_S = 7 * 86_400
"""A week: what tells new and at-risk users from active ones where the log does not say."""

HISTORY_BUCKETS = {"0": (0, 0), "1-4": (1, 4), "5-19": (5, 19), "20+": (20, 1 << 30)}
"""Segments by the number of positives in the window: name -> least and most."""


@dataclass(frozen=True)
class Judged:
    """The users judged, in ascending order of id.

    Attributes:
        user_ids: int32 `[U]`.
        truth: what each of them liked on the judged days, and had not seen before; never empty.
        seen: what each had watched or rated in the window.
        history: positives in the window as far as the histories reach back, of items known at the cut; an item liked
            twice is there twice.
        left_out: how many positives and users do not count, by reason.
    """

    user_ids: np.ndarray
    truth: ItemSets
    seen: ItemSets
    history: ItemSets
    left_out: dict[str, int]

    @property
    def history_sizes(self) -> np.ndarray:
        """Positives in each user's history, int64 `[U]`."""
        return self.history.sizes

    def take(self, users: np.ndarray) -> "Judged":
        """Some of the users (rows)."""
        return replace(
            self,
            user_ids=self.user_ids[users],
            truth=self.truth.take(users),
            seen=self.seen.take(users),
            history=self.history.take(users),
        )

    def sample(self, max_users: int, seed: int) -> "Judged":
        """A random sample of at most `max_users`, in order of id."""
        num_users = len(self.user_ids)
        if num_users <= max_users:
            return self
        return self.take(np.sort(np.random.default_rng([seed, 2]).permutation(num_users)[:max_users]))


def check_histories(histories: pa.Table, first_day: str) -> None:
    """Refuse histories that reach into the judged days: the models have learnt from the same log.

    Args:
        histories: dataset `histories` at the cut, at least `times`.
        first_day: first of the judged days (UTC).

    Raises:
        Failure: something in them happened on that day or later.
    """
    cut = int(datetime.fromisoformat(first_day).replace(tzinfo=UTC).timestamp())
    check_no_leak(pc.list_flatten(histories["times"]).to_numpy(), cut)


def judged_users(
    watches: Iterable[pa.Table], known_users: np.ndarray, known_items: np.ndarray, histories: pa.Table
) -> Judged:
    """Collect the truth: positives of the judged days by users and of items known at the cut, not seen in the window.

    Watching the same item twice counts once. A seen item cannot be recommended, so it cannot be asked for.

    Args:
        watches: tables with `user_id`, `item_id`, `positive` (datasets `watches`).
        known_users: int `[...]`, ids at the cut.
        known_items: likewise.
        histories: dataset `histories` at the cut; `seen` ascending.

    Raises:
        UserError: nothing is left to judge by.
    """
    positives = pa.concat_tables([w.filter(w["positive"]).select(["user_id", "item_id"]) for w in watches])
    user_ids, item_ids = positives["user_id"].to_numpy(), positives["item_id"].to_numpy()
    of_user, of_item = np.isin(user_ids, known_users), np.isin(item_ids, known_items)
    known = of_user & of_item
    users, rows = np.unique(user_ids[known], return_inverse=True)
    asked = ItemSets.from_pairs(rows, item_ids[known], len(users))
    seen, history = (_lists_of(users, histories, column) for column in ("seen", "item_ids"))
    history = history.where(np.isin(history.item_ids, known_items))
    truth = asked.minus(seen)
    everyone = Judged(users.astype(np.int32), truth, seen, history, {})
    judged = everyone.take(np.flatnonzero(truth.sizes > 0))
    left_out = {
        "positives": len(user_ids),
        "by_users_unknown_at_the_cut": int((~of_user).sum()),
        "of_items_unknown_at_the_cut": int((of_user & ~of_item).sum()),
        "repeated": int(known.sum()) - len(asked.item_ids),
        "of_items_seen_in_the_window": len(asked.item_ids) - len(truth.item_ids),
        "counted": len(truth.item_ids),
        "users_with_positives": len(np.unique(user_ids)),
        "users_judged": len(judged.user_ids),
    }
    if not len(judged.user_ids):
        raise UserError(_nothing_to_judge(left_out))
    return replace(judged, left_out=left_out)


_REMEDIES = {
    "by_users_unknown_at_the_cut": "most are by people who are new since the window: take a longer one "
    "(window.train_days) or more judged days (window.judge_days)",
    "of_items_unknown_at_the_cut": "most are of items that are new since the window: take fewer judged days "
    "(window.judge_days), or list items with the day from which they are there",
    "of_items_seen_in_the_window": "most are of items that these people had seen in the window, and what was seen is "
    "not recommended again: take a shorter window (window.train_days), or a log of more items",
}


def _nothing_to_judge(left_out: Mapping[str, int]) -> str:
    if not left_out["positives"]:
        return (
            "evaluation: nobody has a positive on the judged days; choose another day (--date) or more judged days "
            "(window.judge_days), or a lower bar (source.positive_min_rating, source.positive_min_completion)"
        )
    why = ", ".join(f"{reason} {left_out[reason]:,}" for reason in _REMEDIES if left_out[reason])
    most = max(_REMEDIES, key=lambda reason: left_out[reason])
    return (
        f"evaluation: none of the {left_out['positives']:,} positives of the judged days can be judged ({why}): "
        f"{_REMEDIES[most]}"
    )


def _lists_of(users: np.ndarray, histories: pa.Table, column: str) -> ItemSets:
    """One list of each user's history; empty for a user without a history."""
    histories = histories.combine_chunks().sort_by("user_id")
    ids, lists = histories["user_id"].to_numpy(), histories[column]
    sizes = pc.list_value_length(lists).to_numpy()
    # One more user without anything stands at the end, for those who have no history.
    everyone = ItemSets(offsets_of(np.append(sizes, 0)), pc.list_flatten(lists).to_numpy().astype(np.int64))
    return everyone.take(np.where(np.isin(users, ids), np.searchsorted(ids, users), len(ids)))


def user_segments(judged: Judged, users: pa.Table) -> dict[str, np.ndarray]:
    """Segments by what is known of users and by the length of their history: name -> bool `[U]`; `all` comes first."""
    segments = {"all": np.ones(len(judged.user_ids), dtype=bool)}
    users = users.take(pc.index_in(pa.array(judged.user_ids), value_set=users["user_id"].combine_chunks()))
    for column in ("lifecycle", "engagement_tier"):
        values = users[column].combine_chunks()
        for value in sorted(pc.unique(values.drop_null()).to_pylist()):
            segments[f"{column}={value}"] = pc.fill_null(pc.equal(values, value), False).to_numpy(zero_copy_only=False)
    for name, (least, most) in HISTORY_BUCKETS.items():
        segments[f"history={name}"] = (judged.history_sizes >= least) & (judged.history_sizes <= most)
    return {name: members for name, members in segments.items() if members.any()}


def activity_segments(judged: Judged, histories: pa.Table) -> dict[str, np.ndarray]:
    """Segments for logs that tell no lifecycle, by the positives of the window's last week: name -> bool `[U]`.

    `activity=new` had none before that week, `activity=at_risk` none in it, `activity=active` both. Histories keep the
    newest positives only, so somebody who filled theirs within the week counts as new.

    Args:
        histories: dataset `histories` at the cut, at least `user_id` and `times`.
    """
    times = _lists_of(judged.user_ids, histories, "times")  # seconds where items mostly stand
    recent = times.item_ids > pc.max(pc.list_flatten(histories["times"])).as_py() - RECENT_S
    lately, before = times.where(recent).sizes > 0, times.where(~recent).sizes > 0
    segments = {"new": ~before, "active": lately & before, "at_risk": before & ~lately}
    return {f"activity={name}": members for name, members in segments.items() if members.any()}
