"""How every floor declares its settings: one frozen, keyword-only, checked dataclass beside its owner.

Lives on the lowest floor because all others use it. Imports pydantic and nothing heavier.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

T = TypeVar("T")

SIGNS = {
    "minimum": "≥ ", "exclusiveMinimum": "> ", "maximum": "≤ ", "exclusiveMaximum": "< ",
    "minLength": "length ≥ ", "maxLength": "length ≤ ", "pattern": "of the form ",
}  # fmt: skip
"""Bounds of JSON Schema, and how people read them."""


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def settings(cls: type[T]) -> type[T]:
    """Make `cls` a settings class: frozen, keyword-only, unknown keys and impossible values refused.

    Bounds are written as `Annotated[int, Field(ge=1)]`, descriptions as a docstring under each field; both reach
    error messages, the config reference and the forms of the Prefect UI, which shows titles and descriptions only:
    there a field is named as in a config, and its bounds stand behind its description.
    """
    config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        # Defaults too: a float's default of 0 would else be another key than the 0.0 that comes back from the form.
        validate_default=True,
        field_title_generator=lambda name, _: name,
        json_schema_extra=_tell_bounds,
    )
    decorate: Callable[[type[T]], Any] = dataclass(frozen=True, kw_only=True, config=config)
    _describe_inherited(cls)
    return decorate(cls)


def _describe_inherited(cls: type) -> None:
    """Give fields that are inherited their descriptions: pydantic reads the docstrings of a class's own fields only."""
    own = inspect.get_annotations(cls)
    for base in cls.__mro__[1:]:
        for name, info in getattr(base, "__pydantic_fields__", {}).items():
            if name not in own and info.description:
                own[name] = Annotated[info.annotation, *info.metadata, Field(description=info.description)]
                setattr(cls, name, info.default)
    cls.__annotations__ = own


def _tell_bounds(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        choices = [field, *field.get("anyOf", ())]
        bounds = [f"{sign}{choice[name]}" for choice in choices for name, sign in SIGNS.items() if name in choice]
        if bounds:
            field["description"] = f"{field.get('description', '')} ({', '.join(bounds)})".strip()
