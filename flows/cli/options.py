"""What options of several commands have in common."""

from datetime import date as Date
from datetime import datetime

from expectations.errors import UserError


def parse_date(text: str | None, name: str = "--date") -> Date | None:
    """An ISO date, or None for none; `name` is what the user calls it.

    Raises:
        UserError: no such day.
    """
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise UserError(f"{name} {text}: no such day; write YYYY-MM-DD, such as 2026-03-01") from None
