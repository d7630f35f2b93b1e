"""What all tabs share: the home, the night under way, the release and the person that are looked at."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from explorer.data import Release, Store
from explorer.guard import guarded
from explorer.nights import Nights
from explorer.pages import page, welcome
from explorer.requests import Question
from explorer.theme import gr

EMPTY = page(welcome("No release yet", "Make data and train in the tab Night; a demo night takes a minute or two."))
Asked = dict[str, Any]
"""The release (its number) and the question (fields of `Question`) at hand, as the page keeps them."""


@dataclass
class Shared:
    """Handed to every tab when the page is built.

    Attributes:
        release: the dropdown at the top of the page.
        asked: state, an `Asked`, or None as long as there is no release.
        selected: state, the name of the tab that is open; only that one is filled.
        turned: state, settings of the pipeline as the knobs stand; None when they stand as released.
    """

    store: Store
    nights: Nights
    release: gr.Dropdown
    asked: gr.State
    selected: gr.State
    turned: gr.State

    def opened(self, asked: Asked) -> tuple[Release, Question]:
        """What is asked about."""
        question = {name: value for name, value in asked.items() if name != "release"}
        return self.store.release(asked["release"]), Question(**question)

    def choices(self) -> list[tuple[str, int]]:
        """All releases, newest first."""
        return [(self.store.label(version), version.number) for version in self.store.versions()]

    def fills(
        self,
        tab: str,
        fill: Callable[..., Any],
        outputs: list[gr.HTML],
        more: list[Any] = (),  # type: ignore[assignment]
        triggers: tuple[Any, ...] = (),
        needs_release: bool = True,
        empty: str = EMPTY,
    ) -> dict[str, Any]:
        """Fill pieces of page when their tab opens, and while it is open whenever what it shows changes.

        Args:
            fill: takes an `Asked` and the values of `more`.
            triggers: events beyond those of all tabs.
            empty: what stands there as long as there is no release.

        Returns:
            Function, inputs and outputs, to hang behind an event that must have come to its end before.
        """
        num, told = len(outputs), guarded(len(outputs))(fill)

        def when_open(asked: Asked | None, selected: str, *values: Any) -> Any:
            if selected != tab:
                return gr.skip() if num == 1 else [gr.skip()] * num
            if asked is None and needs_release:
                return empty if num == 1 else [empty, *[""] * (num - 1)]
            return told(asked, *values)

        filling = {"fn": when_open, "inputs": [self.asked, self.selected, *more], "outputs": outputs}
        gr.on([self.asked.change, self.selected.change, *triggers], **filling, trigger_mode="always_last")
        return filling
