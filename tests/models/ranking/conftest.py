"""Planted examples: rows and features made from a rule that the tests know."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.config import FitConfig
from models.ranking.config import RankerConfig
from models.ranking.examples import Examples
from models.ranking.labels import Rows

Make = Callable[..., Examples]


@pytest.fixture
def make_examples() -> Make:
    """features without the place, place, click and optionally seconds, completed and weights -> Examples; the place
    is the last feature."""

    def make(
        content: np.ndarray,
        click: np.ndarray,
        *,
        position: np.ndarray | None = None,
        watch_s: np.ndarray | None = None,
        completed: np.ndarray | None = None,
        weight: np.ndarray | None = None,
    ) -> Examples:
        count = len(click)
        position = np.zeros(count) if position is None else position
        rows = Rows(
            user_id=np.arange(count) % 50,
            item_id=np.arange(count) % 7,
            position=position,
            click=click.astype(np.float32),
            watch_s=(100 * click if watch_s is None else watch_s).astype(np.float32),
            completed=(np.full(count, np.nan) if completed is None else completed).astype(np.float32),
            weight=(np.ones(count) if weight is None else weight).astype(np.float32),
        )
        return Examples(rows, np.column_stack([content, position]).astype(np.float32))

    return make


@pytest.fixture
def names() -> Callable[[int], tuple[str, ...]]:
    """Feature names: so many columns and the place."""
    return lambda count: (*(f"x{i}" for i in range(count)), "position")


@pytest.fixture
def quick() -> Callable[..., RankerConfig]:
    """A small ranker, with whatever the test is about."""

    def config(epochs: int = 4, hidden: tuple[int, ...] = (16,), **changes: Any) -> RankerConfig:
        fit = FitConfig(learning_rate=1e-2, final_learning_rate_share=0.05, max_epochs=epochs, threads=1)
        return RankerConfig(hidden=hidden, batch_size=512, fit=fit, **changes)

    return config
