"""Where a night's events come from: made data or a log. Both offer the same three steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date as Date
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from flows.config import Calendar, NightlyConfig
from tasks.generation import catalogue, events, oracle
from tasks.ingestion import Scan, ingest_catalogue, ingest_events, scan
from tasks.lake import Ref
from tasks.stage import Step
