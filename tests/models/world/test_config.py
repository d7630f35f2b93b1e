import pytest
from pydantic import TypeAdapter, ValidationError

from models.world.config import WorldConfig


@pytest.mark.parametrize(
    "values",
    [
        {"first_day": "2026-02-30"},
        {"first_day": "yesterday"},
        {"num_users": 0},
        {"popularity_exponent": -1},
        {"drift": 1.5},
        {"position_bais": 0.5},
    ],
)
def test_impossible_values_and_unknown_keys_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        TypeAdapter(WorldConfig).validate_python(values)


def test_equal_settings_are_one_key() -> None:
    assert hash(WorldConfig(seed=3)) == hash(WorldConfig(seed=3))
    assert WorldConfig(seed=3) != WorldConfig(seed=4)
