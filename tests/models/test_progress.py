import pytest

from models.progress import epoch_in_words, validation_metric


@pytest.mark.parametrize("metric", [0.0, 0.12344, 1.0, -3.25])
def test_the_figure_comes_back_out_of_the_words(metric: float) -> None:
    assert validation_metric(epoch_in_words(3, 0.5, metric)) == pytest.approx(metric, abs=5e-5)


@pytest.mark.parametrize("words", [epoch_in_words(3, 0.5, None), "12 of 30 days", ""])
def test_other_words_tell_of_none(words: str) -> None:
    assert validation_metric(words) is None
