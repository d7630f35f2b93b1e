"""Finding what has an id, such as a backfill or a sweep, by what a person types of it."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from expectations.errors import UserError


class HasId(Protocol):
    """What can be found."""

    @property
    def id(self) -> str: ...


One = TypeVar("One", bound=HasId)


def find(known: Sequence[One], id_: str, command: str, what: str, none: str = "none yet") -> One:
    """The one with an id, or the only one whose id begins so.

    Args:
        known: all there are, newest first.
        command, what: of the message: the command that it was given to, and what was sought.
        none: said when there are none.

    Raises:
        UserError: there is none, or several.
    """
    found = [one for one in known if one.id == id_] or [one for one in known if id_ and one.id.startswith(id_)]
    if len(found) != 1:
        there = ", ".join(one.id for one in known[:5]) or none
        raise UserError(f"{command} {id_}: {'several begin so' if found else f'no such {what}'}; newest: {there}")
    return found[0]
