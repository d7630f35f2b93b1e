import pytest

from expectations.retrying import retrying


def failing(times, error):
    """What fails so often, then gives how often it was called."""
    calls = []

    def work():
        calls.append(1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return work


def test_what_fails_for_the_moment_is_done_again():
    assert retrying(failing(2, KeyError("a")), (0.0, 0.0), LookupError) == 3


def test_its_last_error_counts():
    with pytest.raises(KeyError):
        retrying(failing(3, KeyError("a")), (0.0, 0.0), LookupError)


def test_another_error_counts_at_once():
    work = failing(1, OSError())
    with pytest.raises(OSError):
        retrying(work, (0.0, 0.0), LookupError)
    assert work() == 2
