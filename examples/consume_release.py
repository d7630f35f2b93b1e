"""What a service does with a pulled release: `python examples/consume_release.py FOLDER`.

    nightjar pull --to FOLDER

Needs faiss-cpu, onnxruntime, pyarrow and numpy, and nothing of this project: the folder brings the code that serves.
"""

import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Ask for a known user, for somebody new, and for what is like an item."""
    sys.path.insert(0, str(folder))
    from bundle import Bundle  # the release's own runtime

    release = Bundle(folder)  # refuses a folder that is damaged or does not fit together
    titles = dict(zip(release.items["item_id"].to_pylist(), release.items["title"].to_pylist(), strict=True))
    user = int(release.id_map.filter([kind == "user" for kind in release.id_map["kind"].to_pylist()])["id"][0].as_py())
    for row in release.recommend([user], k=5).table.to_pylist():
        print(f"{row['rank']}. {titles[row['item_id']]}: {row['reason']} (found by {row['source']})")

    first = int(release.recommend([user], k=1).table["item_id"][0].as_py())
    stranger = release.recommend_for_history([first], {"age": 30}, k=3).table
    print("somebody new who watched that:", stranger["item_id"].to_pylist())

    release.watch(user, [first])  # since the night; from now on it counts, and is not recommended again
    assert first not in release.recommend([user], k=5).table["item_id"].to_pylist()

    similar = release.similar(first, k=3)
    print("like it:", similar["title"].to_pylist())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
