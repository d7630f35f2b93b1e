"""`nightjar models`."""

import pytest
from click.testing import CliRunner

from expectations.errors import UserError
from flows.cli.models import models
from flows.reference import entries
from models.catalogue import MODELS


def test_all_models_are_listed() -> None:
    said = CliRunner().invoke(models, [], catch_exceptions=False).output
    assert all(name in said for name in MODELS)


@pytest.mark.parametrize("name", list(MODELS))
def test_every_setting_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    said = CliRunner().invoke(models, [name], catch_exceptions=False).output
    assert f"section `{MODELS[name].section}`" in said
    for key, default, _, meaning in entries(MODELS[name].settings):
        assert key in said and default in said and meaning[:30].replace("`", "") in said


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(UserError, match="no model 'alz', did you mean als"):
        CliRunner().invoke(models, ["alz"], catch_exceptions=False)
