"""Who is told how a backfill gets on."""

from flows.backfilling.state import DayState


class Listener:
    """The base class does not listen. Called from several threads."""

    def planned(self, days: list[DayState]) -> None: ...

    def changed(self, day: DayState) -> None: ...

    def interrupted(self) -> None: ...
