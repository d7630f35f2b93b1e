"""What the report says that a system asks its models for."""

import pytest

from tasks.pages.training import used_for


@pytest.mark.parametrize(
    ("system", "towers", "transformer", "ranker"),
    [
        ("fusion", "candidates, variety", "candidates", "order"),
        ("youtube", "candidates, order, variety", "nothing here", "order"),
        ("netflix", "variety, similar items", "candidates, order", "nothing here"),
        ("hybrid", "candidates, variety", "order", "order"),
    ],
)
def test_what_a_model_is_used_for(system, towers, transformer, ranker):
    assert [used_for(system, model) for model in ("towers", "transformer", "ranker")] == [towers, transformer, ranker]
