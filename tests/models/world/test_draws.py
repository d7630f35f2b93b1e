import numpy as np

from models.world.draws import generator, luck


def test_luck_is_uniform_and_the_same_whenever_it_is_asked() -> None:
    drawn = luck(3, "comes", np.arange(200_000), 739_000)
    counts = np.histogram(drawn, bins=100, range=(0, 1))[0]
    assert np.abs(counts - 2_000).max() < 5 * np.sqrt(2_000)
    assert np.array_equal(drawn[5_000:5_010], luck(3, "comes", np.arange(5_000, 5_010), 739_000))


def test_luck_of_neighbouring_ids_days_purposes_and_seeds_is_unrelated() -> None:
    ids = np.arange(100_000)
    drawn = [
        luck(3, "comes", ids, 7),
        luck(3, "comes", ids + 1, 7),
        luck(3, "comes", ids, 8),
        luck(3, "whim", ids, 7),
        luck(4, "comes", ids, 7),
        luck(3, "comes", np.full_like(ids, 7), ids),
    ]
    related = np.corrcoef(drawn) - np.eye(len(drawn))
    assert np.abs(related).max() < 0.02


def test_each_purpose_and_number_has_a_generator_of_its_own() -> None:
    first = {(p, n): generator(1, p, n).random() for p in ("users", "items") for n in range(3)}
    assert len(set(first.values())) == 6
    assert first["users", 2] == generator(1, "users", 2).random()
