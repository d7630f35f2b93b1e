"""How a watch goes: whether it pleases, how long it lasts, how the stream behaves, whether it is rated.

Shapes: W watches.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from models.world.config import WorldConfig
from models.world.vocabulary import DEVICE_KBPS

POSITIVE_COMPLETION = 0.5
_PLEASES, _PLEASES_FOND = 0.30, 0.65
_EPISODE_PLEASES, _EPISODE_PLEASES_FOND = 0.60, 0.38
_SHORTEST_LIKED = 0.55
_STALL_LOG_MEAN, _STALL_LOG_SD, _RATE_LOG_SD = -3.6, 1.0, 0.4
_LOST_PER_STALL = 3.0
_PRIMARY_DEVICE_SHARE = 0.8
_RATES = 0.08
_RATES_BY_STRENGTH = np.array([0.2, 0.7, 2.4])  # for opinions of 3; 2 and 4; 1 and 5


@dataclass(frozen=True)
class Viewing:
    """How watches went; all `[W]`. `opinion` is what a rating would be, `rated` whether it is given."""

    completion: np.ndarray
    watch_s: np.ndarray
    bitrate_kbps: np.ndarray
    buffering_s: np.ndarray
    quality_switches: np.ndarray
    opinion: np.ndarray
    rated: np.ndarray


def pleases(fond: np.ndarray, episode: np.ndarray | bool = False) -> np.ndarray:
    """Probability that a watch pleases, given how fond the person is of its niche."""
    return np.where(episode, _EPISODE_PLEASES + _EPISODE_PLEASES_FOND * fond, _PLEASES + _PLEASES_FOND * fond)


def devices_used(rng: np.random.Generator, primary: np.ndarray) -> np.ndarray:
    """Device of each session: mostly the person's own."""
    other = rng.integers(len(DEVICE_KBPS), size=len(primary))
    return np.where(rng.random(len(primary)) < _PRIMARY_DEVICE_SHARE, primary, other)


def view(
    config: WorldConfig,
    rng: np.random.Generator,
    liked: np.ndarray,
    duration_s: np.ndarray,
    device: np.ndarray,
) -> Viewing:
    """Play items for people who are going to like them or not."""
    size = len(liked)
    kbps = DEVICE_KBPS[device] * np.exp(_RATE_LOG_SD * rng.standard_normal(size))
    stall = np.exp(_STALL_LOG_MEAN + _STALL_LOG_SD * rng.standard_normal(size)) * _slowness(kbps)
    luck = rng.random(size)
    wanted = np.where(liked, _SHORTEST_LIKED + (1 - _SHORTEST_LIKED) * np.sqrt(luck), 0.02 + 0.43 * luck)
    completion = wanted * _kept(config, stall)
    watch_s = completion * duration_s
    # Half a point of the opinion is chance; the stream's troubles are held against the item.
    score = np.where(liked, 3.4 + 1.6 * luck, 1.0 + 2.2 * luck) - 2 * (1 - _kept(config, stall))
    opinion = np.clip(np.round(score + 0.5 * rng.standard_normal(size)), 1, 5)
    strength = np.abs(opinion - 3).astype(np.int64)
    selected = 1 + config.rating_selection * (_RATES_BY_STRENGTH[strength] - 1)
    return Viewing(
        completion=completion,
        watch_s=watch_s,
        bitrate_kbps=kbps,
        buffering_s=stall * watch_s,
        quality_switches=rng.poisson(watch_s / 1_800 + 20 * stall),
        opinion=opinion,
        rated=rng.random(size) < _RATES * selected,
    )


def positive_share(config: WorldConfig, primary: np.ndarray) -> np.ndarray:
    """Probability that a liked watch is complete enough to be positive, for owners of each device."""
    normal = np.array([NormalDist().inv_cdf((n + 0.5) / 200) for n in range(200)])
    spread = np.hypot(_STALL_LOG_SD, _RATE_LOG_SD / 2)
    stall = np.exp(_STALL_LOG_MEAN + spread * normal) * _slowness(DEVICE_KBPS)[:, None]
    needed = (POSITIVE_COMPLETION / _kept(config, stall) - _SHORTEST_LIKED) / (1 - _SHORTEST_LIKED)
    by_device = (1 - np.clip(needed, 0, 1) ** 2).mean(axis=1)
    return _PRIMARY_DEVICE_SHARE * by_device[primary] + (1 - _PRIMARY_DEVICE_SHARE) * by_device.mean()


def _slowness(kbps: np.ndarray) -> np.ndarray:
    return np.sqrt(5_000 / kbps)


def _kept(config: WorldConfig, stall: np.ndarray) -> np.ndarray:
    """Share of a watch that is not lost to waiting."""
    return np.exp(-config.qoe_effect * _LOST_PER_STALL * np.minimum(stall, 1))
