import numpy as np
import pytest

from models.world.catalogue import NEVER, Catalogue, draw_catalogue, existing
from models.world.config import WorldConfig
from models.world.growth import Growth
from models.world.vocabulary import EPISODE

CONFIG = WorldConfig(num_items=6_000)
FIRST_DAY = 739_000


def _draw(config: WorldConfig = CONFIG, count: int | None = None) -> Catalogue:
    growth = Growth(config.num_items, config.new_item_share * config.num_items, 30, FIRST_DAY, 300)
    return draw_catalogue(config, growth, count or config.num_items)


def test_an_item_is_the_same_however_many_are_made() -> None:
    few, many = _draw(count=1_000), _draw(count=5_000)
    for name, column in vars(few).items():
        assert np.array_equal(column, getattr(many, name)[: len(few)]), name


def test_what_exists_by_a_day_are_the_first_items() -> None:
    catalogue = _draw()
    assert np.all(np.diff(catalogue.uploaded) >= 0)
    assert 0.98 * 6_000 < existing(catalogue, FIRST_DAY + 29) <= 6_000
    assert existing(catalogue, FIRST_DAY - 1) < existing(catalogue, FIRST_DAY) < existing(catalogue, FIRST_DAY + 1)


def test_series_are_whole_in_order_and_uploaded_at_once() -> None:
    catalogue = _draw()
    firsts = np.unique(catalogue.series[catalogue.series >= 0])
    assert len(firsts) > 100
    for first in firsts:
        episodes = np.flatnonzero(catalogue.series == first)
        assert np.array_equal(episodes, first + np.arange(len(episodes)))
        numbers = list(zip(catalogue.season[episodes], catalogue.episode[episodes], strict=True))
        assert numbers == sorted(set(numbers))
        assert numbers[0] == (1, 1)
        for name in ("niche", "language", "uploaded", "premiere", "tier", "until"):
            assert len(set(getattr(catalogue, name)[episodes])) == 1
    assert np.all((catalogue.content_type == EPISODE) == (catalogue.series >= 0))


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_appeal_is_a_power_law_with_the_exponent_asked_for(exponent: float) -> None:
    catalogue = _draw(WorldConfig(num_items=6_000, popularity_exponent=exponent))
    weight = np.sort(catalogue.weight[catalogue.series < 0])[::-1]
    places = np.arange(20, 1_000)
    slope = np.polyfit(np.log(places), np.log(weight[places - 1]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.05)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.15])
def test_the_share_asked_for_waits_for_its_premiere(share: float) -> None:
    catalogue = _draw(WorldConfig(num_items=6_000, cold_item_share=share))
    today = FIRST_DAY + 20
    waiting = catalogue.premiere[: existing(catalogue, today)] > today
    assert waiting.mean() == pytest.approx(share, abs=0.25 * share)


def test_rights_end_for_the_share_asked_for() -> None:
    single = _draw().series < 0
    ends = (_draw().until < NEVER)[single]
    assert ends.mean() == pytest.approx(0.20, abs=0.02)
    assert np.all(_draw(WorldConfig(num_items=6_000, expiring_item_share=0)).until == NEVER)
