"""Where audits keep their results for Data Docs, and whether the site shows them all; without Great Expectations."""

from pathlib import Path

INDEX = "index.html"


def results_folder(docs_dir: Path) -> Path:
    """One JSON file a dataset: its last audit."""
    return docs_dir / "results"


def site_is_current(docs_dir: Path) -> bool:
    """Whether the site was built after the last result was kept; at the same moment is not after."""
    index = docs_dir / INDEX
    if not index.exists():
        return False
    return all(kept.stat().st_mtime_ns < index.stat().st_mtime_ns for kept in results_folder(docs_dir).glob("*.json"))
