"""Lines as people may read them: what was named by others shows itself, and does nothing to the terminal."""

import re
from typing import Any

import click

_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but tab and line end, and those that turn the direction of what comes after."""


def visible(text: str) -> str:
    """A text with its control characters by their names, such as `\\x1b`."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def echo(message: Any = "", err: bool = False) -> None:
    """Print a line."""
    click.echo(visible(str(message)), err=err)
