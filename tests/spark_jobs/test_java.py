"""Finding Java: the right one, or words that say what to do."""

from pathlib import Path

import pytest

from expectations.errors import UserError
from spark_jobs.java import Java, find_java


def install(home: Path, version: str, *, release: bool = True) -> Path:
    (home / "bin").mkdir(parents=True)
    binary = home / "bin" / "java"
    binary.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    binary.chmod(0o755)
    if release:
        (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


def find(tmp_path: Path, **environ: str) -> Java:
    return find_java(environ, (f"{tmp_path}/jvm/*",))


def test_java_home_comes_first(tmp_path: Path) -> None:
    home = install(tmp_path / "a", "21.0.1")
    other = install(tmp_path / "b", "17.0.2")
    assert find(tmp_path, JAVA_HOME=str(home), PATH=str(other / "bin")) == Java(home, 21)


def test_path_is_followed_through_links(tmp_path: Path) -> None:
    home = install(tmp_path / "jdk", "17.0.15")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    assert find(tmp_path, PATH=str(tmp_path / "bin")) == Java(home, 17)


def test_an_old_one_is_passed_over_for_one_in_the_usual_places(tmp_path: Path) -> None:
    old, new = install(tmp_path / "old", "1.8.0_402"), install(tmp_path / "jvm" / "java-17", "17.0.1")
    assert find(tmp_path, JAVA_HOME=str(old)) == Java(new, 17)


def test_a_java_without_a_release_file_is_asked(tmp_path: Path) -> None:
    home = install(tmp_path / "a", "17.0.9", release=False)
    assert find(tmp_path, JAVA_HOME=str(home)) == Java(home, 17)


def test_only_an_old_one(tmp_path: Path) -> None:
    home = install(tmp_path / "old", "11.0.2")
    with pytest.raises(UserError, match=r"too old for Spark: .*old is Java 11.*JAVA_HOME"):
        find(tmp_path, JAVA_HOME=str(home))


def test_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No Java was found.*apt-get install openjdk-17"):
        find(tmp_path, PATH=str(tmp_path))
