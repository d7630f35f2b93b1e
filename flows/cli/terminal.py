"""Tables and styles of commands: the one console that writes to a terminal.

Titles, ids, reasons and tags are other people's words. Printed as they are, they could style a line, hide another or
make the terminal do things: so control characters are shown by their names, and no `[word]` is a style but those of our
own templates.
"""

from collections.abc import Iterable
from typing import Any

import rich.console
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from flows.cli.plain_text import visible


def styled(template: str, *values: object) -> Text:
    """A template with rich's markup, filled with values that have none."""
    return Text.from_markup(template.format(*(escape(str(value)) for value in values)))


class Console(rich.console.Console):
    """A console on which a string is what it says."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, **options})

    def render(self, *arguments: Any, **options: Any) -> Iterable[Segment]:
        for segment in super().render(*arguments, **options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
