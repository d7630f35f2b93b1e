"""Artifacts that go together: what a stage makes where that are several, and what stages are given as one argument.

A group is a frozen dataclass with an artifact, several of them or another group in each field. Keys, lineage and
explanations know its artifacts by the names that they have in it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from types import UnionType
from typing import Any, get_args

from tasks.engine.lake import Artifact


@dataclass(frozen=True)
class Group:
    """What every group is."""


Input = Artifact | tuple[Artifact, ...] | Group | None
"""What a stage may be given to read; None where there is no such group."""


def is_input(annotation: Any) -> bool:
    """Whether a parameter with this annotation takes artifacts."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    is_group = any(isinstance(kind, type) and issubclass(kind, Group) for kind in kinds)
    return is_group or any(kind in (Artifact, tuple[Artifact, ...]) for kind in kinds)


def named(name: str, value: Input) -> Iterator[tuple[str, tuple[Artifact, ...]]]:
    """The artifacts of an argument by name: its own, or in a group that of each field."""
    if isinstance(value, Group):
        for field in fields(value):
            yield from named(field.name, getattr(value, field.name))
    elif value is not None:
        yield name, (value,) if isinstance(value, Artifact) else value


def artifacts_of(value: Input) -> tuple[Artifact, ...]:
    """All artifacts of an argument."""
    return tuple(artifact for _, some in named("", value) for artifact in some)


def each(value: Input, change: Callable[[Artifact], Artifact]) -> Input:
    """The same argument with every artifact changed."""
    if isinstance(value, Group):
        return replace(value, **{f.name: each(getattr(value, f.name), change) for f in fields(value)})
    if isinstance(value, Artifact):
        return change(value)
    return None if value is None else tuple(change(artifact) for artifact in value)
