"""What training says after an epoch: words for people, which also carry the validation figure to whoever watches."""

import re

_FIGURE = re.compile(r"\Aepoch \d+: .*validation (-?\d+\.\d+)\Z")


def epoch_in_words(epoch: int, loss: float, metric: float | None) -> str:
    """One line; `metric` is the validation metric, larger is better."""
    said = "" if metric is None else f", validation {metric:.4f}"
    return f"epoch {epoch}: loss {loss:.4f}{said}"


def validation_metric(words: str) -> float | None:
    """The validation metric of such a line, to four decimals; None where the words tell of none."""
    found = _FIGURE.match(words)
    return float(found[1]) if found else None
