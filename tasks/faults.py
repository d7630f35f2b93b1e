"""Places at which a test kills the night, to prove that the next run completes it.

`NIGHTJAR_FAULT=<stage>:<place>` ends the process without warning when it gets there. Places: `begin`, `progress`,
`computed` (all written aside), `audited` (about to publish), `published` (the first of its datasets).
"""

import os
import signal


def point(name: str) -> None:
    """Die here, like a machine that loses power, when the environment asks for it."""
    if os.environ.get("NIGHTJAR_FAULT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
