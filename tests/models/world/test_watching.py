from typing import Any

import numpy as np
import pytest

from models.world.config import WorldConfig
from models.world.draws import generator
from models.world.watching import POSITIVE_COMPLETION, Viewing, devices_used, pleases, positive_share, view

SIZE = 60_000


def _view(liked: bool = True, **settings: Any) -> tuple[WorldConfig, np.ndarray, Viewing]:
    config, rng = WorldConfig(**settings), generator(1, "test")
    device = devices_used(rng, np.arange(SIZE) % 4)
    return config, device, view(config, rng, np.full(SIZE, liked), np.full(SIZE, 1_000.0), device)


def _effect_of_waiting(viewing: Viewing) -> float:
    """Completion where waiting is least, less where it is most."""
    waiting = viewing.buffering_s / viewing.watch_s
    low, high = np.quantile(waiting, [0.25, 0.75])
    return float(viewing.completion[waiting < low].mean() - viewing.completion[waiting > high].mean())


def test_waiting_shortens_watches_only_where_people_mind() -> None:
    assert _effect_of_waiting(_view(qoe_effect=1.0)[2]) > 0.1
    assert _effect_of_waiting(_view(qoe_effect=0)[2]) == pytest.approx(0, abs=0.01)


def test_low_bit_rates_wait_longer() -> None:
    _, device, viewing = _view()
    assert np.corrcoef(np.log(viewing.bitrate_kbps), np.log(viewing.buffering_s))[0, 1] < -0.1
    assert viewing.bitrate_kbps[device == 0].mean() > 2 * viewing.bitrate_kbps[device == 1].mean()


def test_what_is_rated_is_loved_or_hated_only_under_selection() -> None:
    def strong(viewing: Viewing, which: np.ndarray) -> float:
        return float((np.abs(viewing.opinion[which] - 3) == 2).mean())

    everything = np.ones(SIZE, dtype=bool)
    _, _, chosen = _view(rating_selection=1.0)
    assert strong(chosen, chosen.rated) > 1.5 * strong(chosen, everything)
    _, _, alike = _view(rating_selection=0)
    assert strong(alike, alike.rated) == pytest.approx(strong(alike, everything), abs=0.03)
    assert 0.05 < alike.rated.mean() < 0.12
    assert 0.05 < chosen.rated.mean() < 0.12


def test_only_what_pleases_is_positive_and_opinions_tell() -> None:
    liked, disliked = _view(liked=True)[2], _view(liked=False)[2]
    assert disliked.completion.max() < POSITIVE_COMPLETION
    assert (liked.completion >= POSITIVE_COMPLETION).mean() > 0.8
    assert liked.opinion.mean() > disliked.opinion.mean() + 1.5
    assert np.allclose(liked.watch_s, liked.completion * 1_000)


@pytest.mark.parametrize("effect", [0.0, 1.0, 3.0])
def test_the_share_of_positives_is_known_in_advance(effect: float) -> None:
    """The oracle's closed form, against playing."""
    config, _, viewing = _view(qoe_effect=effect)
    primary = np.arange(SIZE) % 4
    for device in range(4):
        played = (viewing.completion[primary == device] >= POSITIVE_COMPLETION).mean()
        assert positive_share(config, np.array([device]))[0] == pytest.approx(played, abs=0.015)


def test_the_fond_are_pleased_more_often() -> None:
    fond = np.linspace(0, 1, 11)
    for episode in (False, True):
        assert np.all(np.diff(pleases(fond, episode)) > 0)
        assert 0 < pleases(fond, episode).min() < pleases(fond, episode).max() < 1
