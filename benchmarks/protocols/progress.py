"""What a person sees while a protocol runs: lines with seconds, on standard error."""

import sys
import time

INTERVAL_S = 5.0


class Teller:
    """Says things with the seconds since it began; of progress only so much as can be read."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._said = 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def say(self, words: str) -> None:
        print(f"[{self.seconds:6.0f} s] {words}", file=sys.stderr, flush=True)
        self._said = time.monotonic()

    def progress(self, done: int, total: int, what: str) -> None:
        """Say how far a training or evaluation has come, not too often; that it is done is always said."""
        if done == total or time.monotonic() - self._said > INTERVAL_S:
            self.say(f"  {done:,} of {total:,} {what}")
