"""How every floor declares its settings: one frozen, keyword-only, checked dataclass beside its owner.

Lives on the lowest floor because all others use it. Imports pydantic and nothing heavier.
"""

from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def settings(cls: type[T]) -> type[T]:
    """Make `cls` a settings class: frozen, keyword-only, unknown keys and impossible values refused.

    Bounds are written as `Annotated[int, Field(ge=1)]`, descriptions as a docstring under each field; both reach
    error messages, the config reference and the forms of the Prefect UI.
    """
    # Defaults too: a float's default of 0 would else be another key than the 0.0 that comes back from Prefect's form.
    config = ConfigDict(extra="forbid", use_attribute_docstrings=True, validate_default=True)
    decorate: Callable[[type[T]], Any] = dataclass(frozen=True, kw_only=True, config=config)
    return decorate(cls)
