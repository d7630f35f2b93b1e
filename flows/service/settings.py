"""What was chosen once and is remembered in `<home>/service/settings.json`, which only its owner can read."""

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expectations.errors import UserError
from expectations.files import write_json
from expectations.records import read_record
from flows.service.origins import hosts_of
from flows.service.state import folder

DEFAULT_CONFIG = Path(__file__).resolve().parents[2] / "deployments" / "demo.yaml"


POSTGRES = re.compile(r"postgres(ql)?(\+\w+)?://")


@dataclass(frozen=True)
class Settings:
    """Choices of `nightjar up`; what is empty or 0 is at its default."""

    config: str = str(DEFAULT_CONFIG)
    prefect_port: int = 0
    mlflow_port: int = 0
    workers: int = 1
    prefect_database: str = ""
    mlflow_database: str = ""
    auth: str = ""
    notify: str = ""
    allow_hosts: str = ""

    def __post_init__(self) -> None:
        """Refuse what no server could use.

        Raises:
            UserError: without repeating a password.
        """
        for name in ("prefect_database", "mlflow_database"):
            if getattr(self, name) and not POSTGRES.match(getattr(self, name)):
                raise UserError(f"--{name.replace('_', '-')}: must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
        if self.notify and not re.match(r"https?://[^/]", self.notify):
            raise UserError("--notify: must be an http:// or https:// address")
        if self.auth and not re.match(r"[^:]+:.+$", self.auth):
            raise UserError("--auth: must be USER:PASSWORD")
        hosts_of(self.allow_hosts)

    @property
    def prefect_database_url(self) -> str:
        """Address of Prefect's database, with the driver that Prefect wants."""
        return POSTGRES.sub("postgresql+asyncpg://", self.prefect_database)

    @property
    def mlflow_database_url(self) -> str:
        """Address of MLflow's database, with the driver that MLflow wants."""
        return POSTGRES.sub("postgresql+psycopg2://", self.mlflow_database)

    def database_of(self, server: str) -> str:
        """Address of the PostgreSQL of `prefect` or `mlflow`; empty for SQLite below the home."""
        return self.prefect_database if server == "prefect" else self.mlflow_database

    @property
    def credential(self) -> dict[str, str]:
        """What a client of the Prefect server must say."""
        return {"PREFECT_API_AUTH_STRING": self.auth} if self.auth else {}

    def save(self, home: Path) -> None:
        write_json(_path(home), dataclasses.asdict(self), private=True)

    def changed(self, **choices: Any) -> "Settings":
        """The settings with those choices that were made; None was not chosen."""
        return dataclasses.replace(self, **{name: value for name, value in choices.items() if value is not None})


def load_settings(home: Path) -> Settings:
    """What was chosen in this home; the defaults when nothing was.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return Settings(**json.loads(_path(home).read_text()))
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{_path(home)} cannot be read ({error}); delete it and name your choices again") from None


def known_settings(home: Path) -> Settings:
    """What was chosen; the defaults for whoever must go on when the file, which stays, is damaged."""
    lost = "delete it and name your choices again; servers with a password are not asked"
    return read_record(_path(home), lambda values: Settings(**values), lost, stays=True) or Settings()


def _path(home: Path) -> Path:
    return folder(home) / "settings.json"
