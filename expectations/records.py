"""Records and summaries that the project keeps for itself as JSON: a damaged one costs what it says, and ends nothing.

A record is damaged when it is empty, cut short, no JSON, or JSON of another shape. It is set aside under its name with
`.damaged` behind it, where nobody meets it again and it can be looked at, and that is told on stderr.
"""

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from expectations.errors import UserError

DAMAGED = ".damaged"
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}
"""Making one takes longer than reading a record with it."""

One = TypeVar("One")


def read_record(path: Path, make: Callable[[Any], One], lost: str, *, stays: bool = False) -> One | None:
    """What a record says; None when there is none, or when it is damaged.

    Args:
        make: from JSON; raises ValueError, KeyError, TypeError, AttributeError or UserError for what is no such record.
        lost: what is no longer known without it and what to do; ends the warning's sentence.
        stays: it is left where it is, such as one whose place says what the folder is.
    """
    aside = path.with_name(path.name + DAMAGED)
    return record_from(str(path), path.read_bytes, make, lost, None if stays else lambda: path.replace(aside))


def record_from(
    name: str,
    read: Callable[[], bytes],
    make: Callable[[Any], One],
    lost: str,
    set_aside: Callable[[], object] | None = None,
) -> One | None:
    """The same of a record wherever it is kept.

    Args:
        read: raises FileNotFoundError where there is none.
        set_aside: moves a damaged one to its name with `.damaged` behind it; where None it stays.
    """
    try:
        return make(json.loads(read()))
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn(f"{name} cannot be read ({error.strerror or error}); {lost}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UserError) as error:
        _tell(name, _why(error), lost, set_aside)
    return None


def checked(kind: type[One], values: Any) -> One:
    """A dataclass from JSON, its types compared; what a later version has added is left out.

    Raises:
        ValueError: they are of another shape.
    """
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    made: One = _ADAPTERS[kind].validate_python(values)
    return made


def text_of(values: Any, name: str) -> str:
    """A text of an object.

    Raises:
        ValueError: it has none of this name.
    """
    if not isinstance(values, dict) or not isinstance(values.get(name), str):
        raise ValueError(f"no text {name!r} in it")
    return str(values[name])


def _tell(name: str, why: str, lost: str, set_aside: Callable[[], object] | None) -> None:
    try:
        if set_aside:
            set_aside()
    except FileNotFoundError:
        return None  # another process has met it at the same moment, and told
    except OSError as error:
        return _warn(f"{name} is damaged ({why}) and cannot be set aside ({error.strerror or error}); {lost}")
    whither = f" and set aside as {name.rpartition('/')[2]}{DAMAGED}" if set_aside else ""
    _warn(f"{name} is damaged ({why}){whither}; {lost}")
    return None


@cache
def _warn(sentence: str) -> None:
    """A command may meet the same record several times, and says so once."""
    print(f"warning: {sentence}", file=sys.stderr)


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    if isinstance(error, KeyError):
        return f"no {error} in it"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
