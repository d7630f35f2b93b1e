"""mypy reads a plan: a wrong argument of a stage, and an output that there is not, are errors before anything runs."""

import re
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).resolve().parents[2]

MISTAKES = {
    "a wrong name": ("embeddings(T, towers=tower,", "embeddings(T, tower=tower,", "call-arg"),
    "a wrong type": ("popularity(T, window, config.popularity)", "popularity(T, window, config.als)", "arg-type"),
    "an artifact for a group": ("by=by, config", "by=popular, config", "arg-type"),
    "a missing argument": ("            ranker=ranks,\n", "", "call-arg"),
    "a misspelt output": ("facts[T].histories", "facts[T].history", "attr-defined"),
    "an output of another stage": ("facts=facts[S],", "facts=sources,", "arg-type"),
}


@pytest.mark.slow
def test_mistakes_in_a_plan_are_errors_of_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All at once, as mypy takes a while; without them the plan has no error, which `make types` holds."""
    text = (ROOT / "flows/nightly.py").read_text()
    for what, (right, wrong, _) in MISTAKES.items():
        assert text.count(right) == 1, f"{what}: {right!r} stands {text.count(right)} times"
        text = text.replace(right, wrong)
    (tmp_path / "mistaken.py").write_text(text)
    monkeypatch.chdir(ROOT)
    told, trouble, _ = api.run(["--config-file", "pyproject.toml", str(tmp_path / "mistaken.py")])
    found = re.findall(r"mistaken\.py:\d+: error: .*\[([a-z-]+)\]$", told, flags=re.MULTILINE)
    assert sorted(found) == sorted(code for _, _, code in MISTAKES.values()), told + trouble
