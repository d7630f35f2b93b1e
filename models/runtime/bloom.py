"""A set of seen items in little memory."""

import math
from collections.abc import Iterator

import numpy as np


class BloomFilter:
    """A set of keys in few bits: never misses a member, takes a known share of the others for one.

    Bloom 1970; two hashes make all others (Kirsch and Mitzenmacher 2006, "Less Hashing, Same Performance").
    """

    def __init__(self, keys: np.ndarray, false_positive_rate: float) -> None:
        self.num_bits = max(64, math.ceil(-len(keys) * math.log(false_positive_rate) / math.log(2) ** 2))
        self.num_hashes = max(1, round(-math.log2(false_positive_rate)))
        bits = np.zeros((self.num_bits + 7) // 8 * 8, dtype=bool)
        for places in self._places(keys):
            bits[places] = True
        self.bytes = np.packbits(bits, bitorder="little")

    def _places(self, keys: np.ndarray) -> Iterator[np.ndarray]:
        first, step = scatter(keys, 1), scatter(keys, 2) | np.uint64(1)
        for number in range(self.num_hashes):
            yield ((first + np.uint64(number) * step) % np.uint64(self.num_bits)).astype(np.int64)

    def contains(self, keys: np.ndarray) -> np.ndarray:
        """bool in the shape of `keys`: perhaps a member, or certainly none."""
        found = np.ones(keys.shape, dtype=bool)
        for places in self._places(keys):
            found &= (self.bytes[places >> 3] >> (places & 7).astype(np.uint8) & 1).astype(bool)
        return found


def scatter(keys: np.ndarray, seed: int) -> np.ndarray:
    """Well mixed uint64 of integers (the finaliser of SplitMix64, Steele et al. 2014)."""
    mixed = np.atleast_1d(keys).astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
