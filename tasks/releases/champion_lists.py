"""What the champion recommends to this night's judged users: through its own runtime, told in this night's ids."""

from pathlib import Path
from typing import TYPE_CHECKING

from models.serving.bundle_runtime import open_bundle
from tasks.machine.scratch import aside
from tasks.registry.registry import Registry
from tasks.releases.pulling import pull

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def champion_lists(
    registry: Registry, number: int, id_map: "pa.Table", user_ids: "np.ndarray", k: int, beside: int, scratch: Path
) -> "np.ndarray":
    """Lists of a released version, int64 `[U, k]`, best first; -1 where a list is shorter or an item is unknown here.

    Args:
        beside: length of the lists that these are compared with; longer ones would have more places to hit.
        id_map: this night's; users and items of the two releases are the same where their outside ids are.
        user_ids: dense ids of this night, ascending. Whom the champion does not know gets what it has for somebody
            without a history.
        scratch: where the version is kept meanwhile.
    """
    import numpy as np

    with aside(scratch) as folder:
        pull(registry, registry.find(str(number)), folder / "bundle")
        champion = open_bundle(folder / "bundle", threads=1, verify=False)
        users = _translation(id_map, champion.id_map, "user")
        items = _translation(champion.id_map, id_map, "item")
        known = set(champion.user_ids.tolist())
        asked = {theirs: row for row, ours in enumerate(user_ids.tolist()) if (theirs := users.get(ours)) in known}

        def told(item_ids: list[int]) -> list[int]:
            return [items.get(item, -1) for item in item_ids]

        # As long as its own lists: quota and exploration act at the end, and shorter ones are others.
        length = max(k, int(champion.pipeline["k"]))
        nobody = told(champion.recommend_for_history([], k=length).table["item_id"].to_pylist())
        lists = np.full((len(user_ids), length), -1, dtype=np.int64)
        lists[:, : len(nobody)] = nobody
        if asked:
            lists[list(asked.values())] = -1
            table = champion.recommend(list(asked), length).table
            rows = [asked[user] for user in table["user_id"].to_pylist()]
            lists[rows, table["rank"].to_numpy() - 1] = told(table["item_id"].to_pylist())
        lists[:, beside:] = -1
        return lists[:, :k]


def _translation(of: "pa.Table", to: "pa.Table", kind: str) -> dict[int, int]:
    """Dense ids of one id map to those of another, by outside ids."""

    def ids(table: "pa.Table") -> dict[str, int]:
        columns = (table[c].to_pylist() for c in ("kind", "external_id", "id"))
        return {outside: dense for k, outside, dense in zip(*columns, strict=True) if k == kind}

    there = ids(to)
    return {dense: there[outside] for outside, dense in ids(of).items() if outside in there}
