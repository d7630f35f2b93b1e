"""Finds the Java that Spark runs on. Light: `doctor` uses it without loading PySpark."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from expectations.errors import UserError

OLDEST = 17
"""Spark 4 is compiled for Java 17."""

REMEDY = (
    f"Install Java {OLDEST} or newer (Debian, Ubuntu: `apt-get install openjdk-17-jre-headless`; "
    "macOS: `brew install openjdk@17`), or set JAVA_HOME to one that is installed."
)

_USUAL_PLACES = (
    "/usr/lib/jvm/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*",
    "/usr/local/opt/openjdk*",
)


@dataclass(frozen=True)
class Java:
    """An installed Java: its home and its feature version, such as 17."""

    home: Path
    version: int


def find_java(environ: Mapping[str, str] = os.environ, usual_places: tuple[str, ...] = _USUAL_PLACES) -> Java:
    """The first Java that is new enough: `JAVA_HOME`, then `PATH`, then the usual places.

    Raises:
        UserError: there is none, or only older ones; says what to install.
    """
    found = [java for home in _homes(environ, usual_places) if (java := _inspect(home))]
    for java in found:
        if java.version >= OLDEST:
            return java
    if found:
        old = ", ".join(f"{java.home} is Java {java.version}" for java in found)
        raise UserError(f"Java is too old for Spark: {old}. {REMEDY}")
    raise UserError(f"No Java was found, and Spark needs one. {REMEDY}")


def _homes(environ: Mapping[str, str], usual_places: tuple[str, ...]) -> Iterator[Path]:
    if environ.get("JAVA_HOME"):
        yield Path(environ["JAVA_HOME"])
    if on_path := shutil.which("java", path=environ.get("PATH", "")):
        yield Path(on_path).resolve().parent.parent
    for pattern in usual_places:
        yield from sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)


def _inspect(home: Path) -> Java | None:
    binary = home / "bin" / "java"
    if not binary.is_file():
        return None
    release = home / "release"
    if release.is_file():
        text = release.read_text(errors="replace")
    else:
        text = subprocess.run([binary, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'(?:JAVA_VERSION=|version )"(?:1\.)?(\d+)', text)
    return Java(home, int(version[1])) if version else None
