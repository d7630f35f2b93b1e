"""The committed page is what the declarations say."""

from expectations.contracts import PAGE, page
from expectations.datasets import DATASETS
from expectations.measures import DAY_MEASURES, MEASURES


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run python -m expectations.contracts"


def test_the_page_tells_all() -> None:
    text = page()
    for dataset in DATASETS.values():
        assert f"## {dataset.name}\n" in text
        assert all(f"| `{c.name}` |" in text for c in dataset.columns)
    assert all(f"`{measure}(" in text for measure in (*MEASURES, *DAY_MEASURES))
