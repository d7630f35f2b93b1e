"""A question to a release, by somebody it knows or somebody new, and its answer with every stage in between."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from expectations.errors import UserError
from explorer.data import Release

ATTRIBUTES = ("age", "gender", "region", "subscription_type", "lifecycle", "primary_device")
"""What somebody new may be said to be."""
_FILTER = "removed_by_"
LISTED, LOWER, CUT = "in the list", "ranked lower", "too low in retrieval"


@dataclass(frozen=True)
class Question:
    """Who asks: a user by outside id, or somebody with attributes and a history of item ids or titles, oldest first."""

    user: str = ""
    history: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        return not self.user

    def who(self) -> str:
        """Who asks, as a caption says it."""
        return "somebody new" if self.is_new else f"user {self.user}"


@dataclass(frozen=True)
class Answer:
    """Recommendations (rows with every stage's scores), what became of each candidate, and a note for people."""

    rows: list[dict[str, Any]]
    candidates: list[dict[str, Any]]
    removals: dict[str, int]
    history: list[int]
    note: str = ""

    @property
    def items(self) -> list[int]:
        return [row["item_id"] for row in self.rows]


def ask(
    release: Release, question: Question, pipeline: Mapping[str, Any] | None = None, candidates: bool = False
) -> Answer:
    """Ask a release.

    Args:
        pipeline: settings instead of the release's own.
        candidates: also tell what became of everything that was proposed.

    Raises:
        UserError: an item is not known, an attribute does not fit, or settings that the runtime refuses.
    """
    with release.asked() as own:
        bundle = own.with_pipeline(pipeline) if pipeline else own
        traced = candidates and hasattr(bundle, "candidates")
        old = "this release was made before its runtime could tell what became of every candidate" * (not traced)
        user_id = release.users.get(question.user)
        if user_id is not None:
            result = bundle.recommend([user_id], trace=True)
            proposed = bundle.candidates(user_id).to_pylist() if traced else []
            history = [watched.item_id for watched in release.history(user_id)][::-1]
            return Answer(result.table.to_pylist(), proposed, result.removals, history, old if candidates else "")
        items = known_items(release, question.history)
        attributes = {name: value for name, value in question.attributes.items() if value not in (None, "")}
        result = bundle.recommend_for_history(items, attributes, trace=True)
        proposed = bundle.candidates_for_history(items, attributes).to_pylist() if traced else []
        note = f"{question.user} is not known to this release: the list of somebody new" if question.user else ""
        return Answer(result.table.to_pylist(), proposed, result.removals, items, note or (old if candidates else ""))


def known_items(release: Release, text: str) -> list[int]:
    """Dense ids of items named by outside id or title, with commas or line ends between them.

    Raises:
        UserError: one is not known; names the nearest.
    """
    wanted = [word.strip() for word in re.split(r"[,\n;]", text) if word.strip()]
    if not wanted:
        return []
    titles = {release.title(i).casefold(): i for i in release.items.values()}
    found = []
    for word in wanted:
        item = release.items.get(word, titles.get(word.casefold()))
        if item is None:
            near = difflib.get_close_matches(word.casefold(), titles, 1) or difflib.get_close_matches(
                word, release.items, 1
            )
            raise UserError(
                f"no item {word!r} in release {release.number}" + (f", did you mean {near[0]!r}?" if near else "")
                + "; write ids or titles with commas between them"
            )  # fmt: skip
        found.append(item)
    return found


def fate(candidate: Mapping[str, Any]) -> str:
    """What became of a candidate, in words: in the list, or why not."""
    if candidate["rank"]:
        return LISTED
    removed = [name.removeprefix(_FILTER) for name, value in candidate.items() if name.startswith(_FILTER) and value]
    return ", ".join(removed) or (CUT if candidate["relevance"] is None else LOWER)


def places(row: Mapping[str, Any], prefix: str) -> dict[str, int]:
    """Source -> place in it, of the sources that proposed an item."""
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix) and value}
