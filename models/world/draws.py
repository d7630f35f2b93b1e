"""Random numbers that depend on what they are for and on nothing else.

A day's events may be made in any order and in any process, so no generator is carried from one day to the next:
each is made from the seed, a purpose and a number (most often the day). Where one person's or one pair's luck must be
the same on several days, it is a hash of its ids instead.
"""

import zlib

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


def generator(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """A generator of its own for each (seed, purpose, number >= 0)."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), number]))


def luck(seed: int, purpose: str, first: np.ndarray, second: np.ndarray | int = 0) -> np.ndarray:
    """Uniform float64 in [0, 1) for each pair of integers, by the finaliser of SplitMix64 (Steele et al. 2014)."""
    salt = np.uint64((zlib.crc32(purpose.encode()) * _GOLDEN + seed * 0xD1B54A32D192ED03) & _MASK)
    mixed = _mix(np.asarray(first).astype(np.uint64) + salt)
    mixed = _mix(mixed ^ (np.asarray(second).astype(np.uint64) * np.uint64(_GOLDEN)))
    return (mixed >> np.uint64(11)) * 2.0**-53


def _mix(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
