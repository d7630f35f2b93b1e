"""Writes docs/configuration.md from the settings classes: `python -m flows.reference`."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flows.config import NightlyConfig

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"

INTRODUCTION = """# Configuration

A night is decided by one YAML file such as `deployments/demo.yaml`; `--set section.key=value` overrides one value.
An unknown key or an impossible value is refused before anything runs. `resources` is placement: it decides where work
runs and never what comes out. `release.gates` decides about the alias `champion` alone. Changing these makes nothing
run again.

This page is written by `python -m flows.reference` from the settings classes themselves.
"""


def reference() -> str:
    """The page."""
    parts = [INTRODUCTION]
    for field in dataclasses.fields(NightlyConfig):
        info = NightlyConfig.__pydantic_fields__[field.name]  # type: ignore[attr-defined]
        parts.append(f"## {field.name}\n\n{info.description}\n")
        if dataclasses.is_dataclass(field.default):
            parts.append("| key | default | allowed | meaning |\n|---|---|---|---|")
            parts += _rows(type(field.default))
            parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def entries(cls: Any, prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """(key, default, allowed, meaning) of every setting of a settings class, those inside of others too.

    A setting that holds others has no default of its own.
    """
    for name, info in cls.__pydantic_fields__.items():
        default = info.get_default(call_default_factory=True)
        meaning = " ".join((info.description or "").split())
        if dataclasses.is_dataclass(default):
            yield f"{prefix}{name}", "", "", meaning
            yield from entries(type(default), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _plain(default, info.annotation), _allowed(info), meaning


def _rows(cls: Any) -> Iterator[str]:
    for key, default, allowed, meaning in entries(cls):
        meaning = meaning.replace("|", "\\|")
        yield f"| `{key}` | `{default}` | {allowed} | {meaning} |" if default else f"| **{key}** | | | {meaning} |"


def _plain(value: Any, annotation: Any) -> str:
    if annotation == tuple[tuple[str, str], ...]:  # a mapping, as what can be hashed
        return str(dict(value))
    if isinstance(value, tuple):
        return str(list(value))
    return "empty" if value in ("", None) else str(value).lower() if isinstance(value, bool) else str(value)


def _allowed(info: Any) -> str:
    """Bounds and choices in words."""
    signs = {"ge": "≥ ", "gt": "> ", "le": "≤ ", "lt": "< ", "min_length": "length ≥ ", "max_length": "length ≤ "}
    bounds = [
        f"{sign}{value:g}"
        for m in info.metadata
        for n, sign in signs.items()
        if (value := getattr(m, n, None)) is not None
    ]
    choices = getattr(info.annotation, "__args__", ())
    if getattr(info.annotation, "__origin__", None) is not None and all(isinstance(c, str) for c in choices):
        return ", ".join(f"`{c}`" for c in choices)
    return ", ".join(bounds)


if __name__ == "__main__":
    PAGE.write_text(reference())
    sys.stdout.write(f"{PAGE}\n")
