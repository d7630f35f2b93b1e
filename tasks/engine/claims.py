"""Claims in an object store: of all processes on all machines, one at a time holds a name.

A claim is an object that is made only where there is none (a conditional write), and that names its holder. The holder
lives as long as its heartbeat, another object, goes on changing. Whoever waits watches that by a clock of its own, so
that no two machines' clocks are compared, and ends a heart that stood still by another conditional write: of who waits
and a holder that comes back, one wins. A holder looks before it publishes, for it may have been held up for longer than
its claim lasts (Burrows 2006, "The Chubby lock service for loosely-coupled distributed systems", section 2.4).
"""

import json
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from expectations.errors import Failure
from tasks.machine.processes import machine_name, owner_is_alive, owner_tag

if TYPE_CHECKING:
    from obstore.store import ObjectStore

FOLDER = "claims"
BEATS_S = 15.0
LAPSES_S = 120.0
"""A holder whose heartbeat does not change for so long is dead; one on a machine that swaps is silent for a while."""

ASKS_AGAIN_S = 1.0
FORGOTTEN = timedelta(days=2)
"""So old are the objects that holders which were killed have left, and that nobody has waited for."""


class Claim:
    """Names that this process holds. This class is for locks of files, which it holds for as long as it lives."""

    def verify(self) -> None:
        """Make sure that they are held still, before anything is written that only their holder may write.

        Raises:
            Failure: they lapsed, as this process did not come to run for too long.
        """


@contextmanager
def hold(store: "ObjectStore", names: Iterable[str]) -> Iterator[Claim]:
    """Hold names of a store while the block runs; they are taken in order, so that no two wait for each other."""
    claim = _StoredClaim(store)
    claim.begin()
    try:
        for name in sorted(names):
            claim.take(name)
        yield claim
    finally:
        claim.end()


@dataclass(frozen=True)
class _Object:
    """What an object says, and what the condition of a write names this state of it by."""

    told: dict[str, Any]
    state: dict[str, str]


@dataclass
class _StoredClaim(Claim):
    """A holder of names, with its heartbeat.

    Attributes:
        store: the folder of claims.
        heart: name of its heartbeat.
    """

    store: "ObjectStore"
    heart: str = field(default_factory=lambda: f"holders/{uuid.uuid4().hex}")
    _names: list[str] = field(default_factory=list)
    _state: dict[str, str] | None = None
    _beaten: float = 0.0
    _is_dead: bool = False
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        self._beat()
        threading.Thread(target=self._go_on, name=self.heart, daemon=True).start()

    def take(self, name: str) -> None:
        """Hold a name, as soon as nobody does who lives."""
        told = {"heart": self.heart, "process": owner_tag(), "machine": machine_name()}
        watch = _Watch(self.store)
        while not _write(self.store, name, told, None):
            claim = _read(self.store, name)
            if claim and claim.told.get("heart") == self.heart:
                break  # the first of two writes, of which the client was told about the second
            if claim and watch.is_dead(claim.told) and _write(self.store, name, told, claim.state):
                break
            if claim:
                time.sleep(ASKS_AGAIN_S)
        self._names.append(name)

    def verify(self) -> None:
        if not self._is_held():
            raise Failure(
                f"this process did not come to run for {LAPSES_S:.0f} seconds, and another has taken over its work; "
                "nothing more is published. Run it again: what stands is not made again"
            )

    def end(self) -> None:
        """Let go of all; a store that does not answer is left to those who wait, as if this process had died."""
        self._over.set()
        with suppress(Failure, *_errors()):
            for name in reversed(self._names) if self._is_held() else ():
                self.store.delete(name)
            self.store.delete(self.heart)

    def _go_on(self) -> None:
        while not self._over.wait(BEATS_S) and not self._is_dead:
            with suppress(Failure):
                self._beat()

    def _is_held(self) -> bool:
        if _clock() - self._beaten >= LAPSES_S / 2:
            self._beat()
        return not self._is_dead

    def _beat(self) -> None:
        with self._lock:
            now, state = _clock(), None
            while not self._is_dead and state is None:
                state = _write(self.store, self.heart, {"beat": uuid.uuid4().hex}, self._state)
                if state is None:
                    seen = _read(self.store, self.heart)
                    self._is_dead = seen is None or "beat" not in seen.told
                    self._state = seen.state if seen else None
            if state:
                self._state, self._beaten = state, now


@dataclass
class _Watch:
    """The heart of whoever holds what is waited for: since when this process has seen it stand still."""

    store: "ObjectStore"
    heart: str = ""
    state: dict[str, str] = field(default_factory=dict)
    since: float = 0.0

    def is_dead(self, told: dict[str, Any]) -> bool:
        """Whether the holder that a claim names is: its process on this machine is gone, or its heart has stopped."""
        if told.get("machine") == machine_name() and not owner_is_alive(str(told.get("process"))):
            return True
        heart = str(told.get("heart"))
        seen = _read(self.store, heart)
        if seen is None or "beat" not in seen.told:
            return True
        if (heart, seen.state) != (self.heart, self.state):
            self.heart, self.state, self.since = heart, seen.state, _clock()
        stands_still = _clock() - self.since >= LAPSES_S
        return stands_still and bool(_write(self.store, heart, {"ended": "it stood still"}, seen.state))


def _write(
    store: "ObjectStore", name: str, told: dict[str, Any], state: dict[str, str] | None
) -> dict[str, str] | None:
    """Write an object where there is none, or where its state is the given one.

    Returns:
        Its new state; None where the condition does not hold.

    Raises:
        Failure: the store does not answer, or not to us.
    """
    from obstore.exceptions import AlreadyExistsError, NotFoundError, PreconditionError

    try:
        made = store.put(name, json.dumps(told).encode(), mode=state or "create")  # type: ignore[arg-type]
    except (AlreadyExistsError, PreconditionError, NotFoundError, FileNotFoundError):
        return None
    except _errors() as error:
        raise _failure(error) from error
    return _state(made)


def _read(store: "ObjectStore", name: str) -> _Object | None:
    """None where there is none.

    Raises:
        Failure: the store does not answer, or not to us.
    """
    from obstore.exceptions import NotFoundError

    try:
        answer = store.get(name)
        told = json.loads(bytes(answer.bytes()))
    except (NotFoundError, FileNotFoundError):
        return None
    except ValueError:
        told = None  # not ours: nobody holds it
    except _errors() as error:
        raise _failure(error) from error
    return _Object(told if isinstance(told, dict) else {}, _state(answer.meta))


def _state(facts: Any) -> dict[str, str]:
    return {part: facts[part] for part in ("e_tag", "version") if facts.get(part)}


def _failure(error: Exception) -> Failure:
    return Failure(f"the lake's object store does not answer, or not to us: {str(error).splitlines()[0][:300]}")


def _errors() -> tuple[type[Exception], ...]:
    from obstore.exceptions import BaseError

    return (BaseError, OSError)


def _clock() -> float:
    """Seconds that go on while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


# --- the store -------------------------------------------------------------------------------------------------------


@cache
def open_store(url: str, region: str) -> "ObjectStore | None":
    """The folder of claims of a lake; None, and a warning, where its store can hold none.

    Args:
        url: of the lake, with PyArrow's options.
        region: of S3's bucket.
    """
    try:
        store = _open(url, region)
        why = _why_it_cannot(store)
    except _unable() as error:
        why = str(error).splitlines()[0][:300]
    if not why:
        return store
    print(
        f"warning: the lake's object store holds no claims ({why}): of nights on several machines that make the same "
        "at the same time each makes it; let one machine at a time run",
        file=sys.stderr,
    )
    return None


def _unable() -> tuple[type[Exception], ...]:
    return (Failure, ValueError, *_errors())  # a ValueError: there are no credentials


def _open(url: str, region: str) -> "ObjectStore":
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store, from_url

    parts = urlsplit(url)
    folder = f"{parts.path.strip('/')}/{FOLDER}".strip("/")
    if parts.scheme != "s3":
        return from_url(f"{parts.scheme}://{parts.netloc}/{folder}", retry_config=_PATIENCE)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    settings: dict[str, Any] = {"region": region}
    if endpoint := options.get("endpoint_override", ""):
        settings["endpoint"] = endpoint if "://" in endpoint else f"{options.get('scheme', 'https')}://{endpoint}"
    if parts.username and parts.password:
        settings |= {"access_key_id": unquote(parts.username), "secret_access_key": unquote(parts.password)}
    else:  # which finds profiles and single sign-on, too, as PyArrow's client does
        settings["credential_provider"] = Boto3CredentialProvider()
    client: Any = {"allow_http": settings.get("endpoint", "").startswith("http://")}
    bucket = parts.netloc.rpartition("@")[2]
    return S3Store(bucket, prefix=folder, client_options=client, retry_config=_PATIENCE, **settings)


_PATIENCE: Any = {"max_retries": 6, "retry_timeout": timedelta(seconds=30)}


def _why_it_cannot(store: "ObjectStore") -> str:
    """Try it, as there are stores that know no conditions and write all the same. Empty when it can."""
    probe = f"probes/{uuid.uuid4().hex}"
    if not _write(store, probe, {}, None):
        return "it refuses to write what is not there"
    try:
        return "it writes over what it was to leave" if _write(store, probe, {}, None) else ""
    finally:
        store.delete(probe)


def forget_old(store: "ObjectStore") -> None:
    """Remove what holders that were killed have left behind and nobody has waited for since."""
    horizon = datetime.now(UTC) - FORGOTTEN
    objects = [facts for page in store.list() for facts in page]
    alive = {facts["path"] for facts in objects if facts["last_modified"] >= horizon}
    for name in {facts["path"] for facts in objects} - alive:
        claim = _read(store, name)  # written once, unlike the heart of its holder
        if claim and claim.told.get("heart") not in alive:
            store.delete(name)
