"""The MLflow registry: the one module that talks to it.

A release is one version of `nightjar-recommender`. Its files are logged first and the version, with all its tags, is
made last in one transaction, so a night that is killed leaves no half version, and the next one finds its own again.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from expectations.errors import Failure, UserError
from expectations.passwords import redacted
from expectations.prepared import prepared
from expectations.retrying import retrying
from tasks.engine import fault_points
from tasks.machine.databases import make_by_command, place
from tasks.machine.home import registry_of
from tasks.machine.processes import machine_name, owner_is_alive, owner_tag
from tasks.registry.mlflow_internals import files_at, relocate
from tasks.registry.release_layout import MANIFEST_TAG
from tasks.registry.signing import DATE_TAG, SIGNATURE_TAG, Keys, is_signed

MODEL = "nightjar-recommender"
EXPERIMENT = "nightjar"
PROCESS_TAG, MACHINE_TAG = "nightjar.process", "nightjar.machine"
"""Tags of an MLflow run: who logs it, see `tasks.machine.processes`."""
UNDER_WAY_S = 6 * 3600.0
"""A run that is logged on another machine, whose processes nobody here can see, is left alone for so long."""
FURTHEST_EAST = timedelta(hours=14)
"""How far the earliest time zone is ahead of UTC."""
MOST_DESCRIBED = 5000
"""Characters that MLflow keeps of a description."""
CODE = Path(__file__).with_name("pyfunc_model.py")
_REFERENCE = re.compile(r"([^@/:]*)([@/:]?)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Version:
    """One registered version.

    Attributes:
        number: in its registry; another registry gives it to another release.
    """

    number: int
    run_id: str
    tags: dict[str, str]
    aliases: tuple[str, ...] = ()
    created: datetime | None = None
    """When the registry made it, as far as that is known."""

    @property
    def name(self) -> str:
        return f"{MODEL} {self.number}"

    @property
    def day(self) -> str:
        """Its logical day, ISO 8601; empty for what is no day, or one that had begun nowhere when it was made."""
        told = self.tags.get(DATE_TAG, "")
        try:
            day = date.fromisoformat(told)
        except ValueError:
            return ""
        begun = self.created is None or day <= (self.created + FURTHEST_EAST).date()
        return told if begun and told == day.isoformat() else ""

    @property
    def digest(self) -> str:
        """What the release is in every registry: the sha256 of its manifest; empty of what was registered by hand."""
        return self.tags.get(MANIFEST_TAG, "")


@dataclass(frozen=True)
class Registry:
    """A registry by URL: an MLflow server or database.

    Empty for the one of the environment (`NIGHTJAR_REGISTRY`: the service's, when its database is elsewhere), else for
    the one that the home has chosen, else for SQLite and a folder below `home`.
    """

    home: Path
    url: str = ""

    @property
    def address(self) -> str:
        return self.url or os.environ.get("NIGHTJAR_REGISTRY", "") or registry_of(self.home)

    @property
    def uri(self) -> str:
        return self.address or f"sqlite:///{self.database}"

    @property
    def database(self) -> Path:
        """The SQLite file of the home."""
        return self.home / "mlflow" / "mlflow.db"

    @property
    def file(self) -> Path | None:
        """Its SQLite file, whosever; None for a server, or another database."""
        path = self.uri.removeprefix("sqlite:///")
        return Path(path).absolute() if path != self.uri else None

    @property
    def artifacts(self) -> Path:
        """Where files of releases are, when no server keeps them: beside the SQLite file, else in the home."""
        return (self.file or self.database).parent / "artifacts"

    @cached_property
    def client(self) -> Any:
        """MLflow's client; the first use of a new database makes its tables."""
        from mlflow import MlflowClient

        if self.file == self.database:
            self.make_database()
        elif self.file and self.file.is_relative_to(self.home):
            relocate(self.file, self.artifacts)
        return MlflowClient(self.uri, self.uri)

    def make_database(self) -> None:
        """Make the SQLite database, when it is not there; one of a moved or copied home finds its files again."""
        place(self.database, template(), make_tables)
        relocate(self.database, self.database.parent / "artifacts")

    def check(self) -> None:
        """Ask for something small.

        Raises:
            Failure: the registry does not answer, or not to us.
        """
        from mlflow.exceptions import MlflowException

        try:
            self.client.search_registered_models(max_results=1)
        except MlflowException as error:
            told = str(error)
            if " 401 " in told or " 403 " in told:
                remedy = "it asks for a user: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            else:
                remedy = f"does it run, and is that its address? ({told.splitlines()[0][:300]})"
            raise Failure(f"registry at {redacted(self.uri)} does not answer: {redacted(remedy)}") from error

    def experiment_id(self) -> str:
        """Id of the experiment that nights are logged to, made when it is not there."""
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(EXPERIMENT)
        if not found:
            # MLflow's own choice for a database would be the folder that the command is called in.
            location = None if self.uri.startswith("http") else self.artifacts.as_uri()
            try:
                return str(self.client.create_experiment(EXPERIMENT, artifact_location=location))
            except MlflowException:  # another night has made it at the same moment
                found = self.client.get_experiment_by_name(EXPERIMENT)
                if not found:
                    raise
        return str(found.experiment_id)

    def versions(self) -> list[Version]:
        """All versions, newest first."""
        found = self.client.search_model_versions(f"name = '{MODEL}'")
        aliases = self.aliases()
        rows = [
            Version(
                int(v.version),
                v.run_id,
                dict(v.tags),
                tuple(a for a, n in aliases.items() if n == int(v.version)),
                datetime.fromtimestamp(v.creation_timestamp / 1000, UTC),
            )
            for v in found
        ]
        return sorted(rows, key=lambda v: -v.number)

    def aliases(self) -> dict[str, int]:
        """Version that each alias names."""
        from mlflow.exceptions import MlflowException

        try:
            model = self.client.get_registered_model(MODEL)
        except MlflowException:
            return {}
        return {alias: int(number) for alias, number in model.aliases.items()}

    def version_of(self, digest: str, day: str) -> Version | None:
        """The version that is the release of this digest and day, the first if there are several; None where this
        registry has none, or has it no more.

        Where this home has a key to sign with, what nobody has signed is signed now, and what somebody else has is
        another version.
        """
        keys, own = Keys(self.home), Keys(self.home).public()
        for known in reversed(self.versions()):
            if (known.digest, known.tags.get(DATE_TAG, "")) == (digest, day):
                if own and SIGNATURE_TAG not in known.tags:
                    signature = keys.signed(MODEL, known.tags)
                    self.tag(known.number, SIGNATURE_TAG, signature[SIGNATURE_TAG])
                    known.tags.update(signature)
                if not own or is_signed(MODEL, known.tags, (own,)):
                    return known
        return None

    def publish(
        self,
        digest: str,
        folder: Path,
        name: str,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> Version:
        """Log a bundle and register it as one version; the same one twice gives the same version.

        It is signed where this home has a key to sign with.

        Args:
            digest: of its manifest.
        """
        found = self.version_of(digest, tags.get(DATE_TAG, ""))
        if found:
            return found
        tags = {**tags, MANIFEST_TAG: digest}
        tags |= Keys(self.home).signed(MODEL, tags)
        self._forget_unfinished(digest)
        run_id, model = self._log(digest, folder, name, params, metrics)
        fault_points.point("release:logged")
        self._ensure_model()
        made = self.client.create_model_version(
            MODEL,
            source=model.model_uri,
            run_id=run_id,
            tags=tags,
            model_id=model.model_id,
            description=name,
        )
        fault_points.point("release:registered")
        return self._first_of(digest, Version(int(made.version), run_id, tags))

    def _first_of(self, digest: str, made: Version) -> Version:
        """The version that stays of several which machines without a common lake have made of one release at the same
        moment: the first, which all of them see.
        """
        first = self.version_of(digest, made.tags.get(DATE_TAG, "")) or made
        if first.number != made.number:
            self.client.delete_model_version(MODEL, str(made.number))
            self.client.delete_run(made.run_id)
        return first

    def _log(
        self, digest: str, folder: Path, name: str, params: Mapping[str, Any], metrics: Mapping[str, float]
    ) -> tuple[str, Any]:
        import mlflow
        from mlflow.entities import Metric, Param

        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        tags = {MANIFEST_TAG: digest, PROCESS_TAG: owner_tag(), MACHINE_TAG: machine_name()}
        run = self.client.create_run(self.experiment_id(), run_name=name, tags=tags)
        run_id = str(run.info.run_id)
        with mlflow.start_run(run_id=run_id):
            model = mlflow.pyfunc.log_model(
                name="recommender",
                python_model=str(CODE),
                artifacts={"bundle": str(folder)},
                pip_requirements=_requirements(),
            )
        now = int(self.client.get_run(run_id).info.start_time)
        values = [Metric(k, float(v), now, 0) for k, v in metrics.items()]
        texts = [Param(k, str(v)[:500]) for k, v in params.items()]
        for start in range(0, len(values), 500):
            self.client.log_batch(run_id, metrics=values[start : start + 500])
        for start in range(0, len(texts), 100):
            self.client.log_batch(run_id, params=texts[start : start + 100])
        return run_id, model

    def _forget_unfinished(self, digest: str) -> None:
        """Delete MLflow runs of this release that have no version: an attempt was killed, or the version deleted.

        Those that somebody is logging at this moment stay.
        """
        named = {version.run_id for version in self.versions()}
        for run in self.client.search_runs([self.experiment_id()], f"tags.`{MANIFEST_TAG}` = '{digest}'"):
            if run.info.run_id not in named and not _is_under_way(run):
                self.client.delete_run(run.info.run_id)

    def _ensure_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(MODEL, description="Nightjar's nightly recommender")
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise Failure(f"registry at {redacted(self.uri)}: {redacted(str(error))}") from error

    def find(self, text: str) -> Version:
        """The version that a reference names: `[NAME]` and a number, `/number`, `@alias` or `:YYYY-MM-DD`.

        A day names its newest release, the model's name alone the champion.

        Raises:
            UserError: there is none.
        """
        if not text.strip():
            raise UserError("the reference is empty; write @champion, /12 or :2026-03-01")
        name, sign, chosen = _REFERENCE.fullmatch(text.removeprefix("models:/")).groups()  # type: ignore[union-attr]
        if name.isdecimal() and not sign:
            name, sign, chosen = MODEL, "/", name
        if name not in ("", MODEL):
            raise UserError(f"no model {name!r}; write @alias, /version or :YYYY-MM-DD, {MODEL} before it or not")
        versions = self.versions()
        if sign == ":":
            found = [v for v in versions if chosen and v.day == chosen]
        elif sign == "/":
            found = [v for v in versions if str(v.number) == chosen]
        else:
            found = [v for v in versions if (chosen or "champion") in v.aliases]
        if found:
            return found[0]
        there = ", ".join(f"{v.number} (of {v.tags.get('nightjar.date', '?')})" for v in versions[:10]) or "none yet"
        raise UserError(
            f"no version {text or '@champion'} of {MODEL}; give a number, @alias or :YYYY-MM-DD; newest versions: "
            f"{there}"
        )

    def files(self, number: int) -> Callable[[str, Path], None]:
        """What fetches one file of a version's bundle, such as `manifest.json`, to a path, from any thread."""
        import mlflow

        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        source = self.client.get_model_version_download_uri(MODEL, str(number))
        repository = files_at(source, self.uri)

        def fetch(name: str, path: Path) -> None:
            with TemporaryDirectory(dir=path.parent, prefix=".fetching-") as folder:
                Path(repository.download_artifacts(f"artifacts/bundle/{name}", folder)).replace(path)

        return fetch

    def follow(self, alias: str) -> None:
        """Move an alias to the latest night's newest version; a backfill of earlier nights never moves it back.

        A version of no real day, or of one that was still to come when it was made, takes no alias; nor does one
        without a signature where public keys are pinned.

        An alias has no compare-and-set, so of two nights that end at once the earlier may overwrite the later. Whoever
        has set it looks again, until it is where it belongs.
        """
        from mlflow.exceptions import MlflowException

        pinned = Keys(self.home).pinned()
        while True:
            dated = [v for v in self.versions() if v.day and (not pinned or is_signed(MODEL, v.tags, pinned))]
            newest = max(dated, key=lambda v: (v.day, v.number), default=None)
            if newest is None or alias in newest.aliases:
                return
            try:
                self.point(alias, newest.number)
            except MlflowException:  # it may be gone by now, as the later of two that were made at the same moment
                if newest.number in {v.number for v in self.versions()}:
                    raise

    def date_at(self, alias: str) -> str:
        """Logical day of the version that an alias names; empty when it names none."""
        return next((v.day for v in self.versions() if alias in v.aliases), "")

    def point(self, alias: str, number: int) -> None:
        """Move an alias to a version."""
        _despite_others(lambda: self.client.set_registered_model_alias(MODEL, alias, str(number)))

    def tag(self, number: int, name: str, value: str) -> None:
        """Set a tag of a version."""
        _despite_others(lambda: self.client.set_model_version_tag(MODEL, str(number), name, value))

    def describe(self, number: int, text: str) -> None:
        """Say in the registry what a version is, in Markdown; what is too long for it is cut."""
        self.client.update_model_version(MODEL, str(number), text[:MOST_DESCRIBED])

    def attach(self, run_id: str, path: Path, folder: str | None = None) -> None:
        """Add a file, such as the report, to the MLflow run of a release; none is added to a run that is gone."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.log_artifact(run_id, str(path), folder)
        except MlflowException:
            if self.run(run_id):
                raise

    def run(self, run_id: str) -> Any:
        """An MLflow run; None for one that somebody has deleted for good."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None


def _is_under_way(run: Any) -> bool:
    """Whether a process logs an MLflow run still; of another machine's, whether it may."""
    if run.info.status in ("FAILED", "KILLED"):  # one that is finished may be registered at this moment
        return False
    if run.data.tags.get(MACHINE_TAG) == machine_name():
        return owner_is_alive(run.data.tags.get(PROCESS_TAG, ""))
    return time.time() - run.info.start_time / 1000 < UNDER_WAY_S


def template() -> Path:
    """The empty database that set-up made, for this version of MLflow."""
    return prepared(f"mlflow-{version('mlflow')}.db")


def make_tables(path: Path) -> None:
    """Make a new database with all of MLflow's tables.

    Raises:
        Failure: MLflow's command failed; with its last words.
    """
    make_by_command("MLflow", [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{path}"], path)


def _despite_others(write: Callable[[], None]) -> None:
    """Set an alias or a tag, and again when that is refused: of two who set a new one at once, MLflow refuses one with
    an error of its database, but not twice.
    """
    from mlflow.exceptions import MlflowException

    retrying(write, (0.1, 0.3, 1.0), MlflowException)


def _requirements() -> list[str]:
    return [f"{name}=={version(name)}" for name in ("faiss-cpu", "onnxruntime", "pyarrow", "numpy", "pandas")]
