"""`nightjar inspect`: what it says, and that the config it writes is one that a night takes."""

import gzip
import json
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from flows.__main__ import run
from flows.cli.inspect import _settings
from flows.config import calendar, check_config, load_config
from models.evaluation.potential import Potential
from tests.tasks.sources.test_inspection import NUM_EVENTS, events, plain, write


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """Run `nightjar inspect` in a home of its own: exit code, stdout, stderr."""
    monkeypatch.setenv("NIGHTJAR_HOME", str(tmp_path / "home"))

    def inspect(*arguments: str) -> tuple[int, str, str]:
        code = run(["inspect", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return inspect


@pytest.fixture
def log(tmp_path):
    write(tmp_path / "log.csv", plain(events()), ["user", "item", "time", "rating"])
    return tmp_path / "log.csv"


def test_it_tells_and_writes_a_config(ask, log, tmp_path):
    code, out, _ = ask(str(log), "--to", str(tmp_path / "night.yaml"))
    assert code == 0
    for words in ("user: 'user', by its name", "ratings: 1 to 5", f"{NUM_EVENTS} events of 30 users and 60 items",
                  "No impressions", "A log of ", "a night on it: nightjar run"):  # fmt: skip
        assert words in out
    config = load_config(tmp_path / "night.yaml")
    assert config.source.positive_min_rating == 4 and config.source.path == str(log)
    calendar(config.window, date(2024, 3, 20), date(2024, 3, 1))


def test_without_a_file_it_prints_the_config(ask, log):
    code, out, _ = ask(str(log))
    assert code == 0
    text = out[out.index("\nsource:") : out.index("--to FILE.yaml")]
    check_config(yaml.safe_load(text), "printed")


def test_nothing_is_written_over(ask, log, tmp_path):
    (tmp_path / "night.yaml").write_text("mine")
    for target, words in (("night.yaml", "is there already"), ("night.txt", ".yaml"), ("no/night.yaml", "no folder")):
        code, _, err = ask(str(log), "--to", str(tmp_path / target))
        assert code == 2 and words in err
    assert (tmp_path / "night.yaml").read_text() == "mine"


def test_what_would_stop_a_night_is_told_and_the_rest_is_looked_at(ask, tmp_path):
    rows = plain(events())
    rows[7] = ("", *rows[7][1:])
    write(tmp_path / "log.csv", rows, ["user", "item", "time", "rating"])
    code, out, _ = ask(str(tmp_path / "log.csv"))
    assert code == 0 and "warning: source.path: 1 row of" in out and "stops a night" in out
    assert f"{NUM_EVENTS - 1} events" in out


def test_quick_parses_no_log(ask, log, tmp_path):
    code, out, _ = ask(str(log), "--quick")
    assert code == 0 and "rating: 'rating'" in out and "events of" not in out
    assert not (tmp_path / "home" / "scratch" / "sources").exists()


@pytest.mark.parametrize("columns", [["--user", "nosuch"], ["--time", "stars"]])
def test_a_column_that_is_not_there_is_told_with_those_that_are(ask, log, columns):
    code, _, err = ask(str(log), *columns)
    assert code == 2 and columns[1] in err and "'rating'" in err


def test_named_columns_choose_the_table(ask, tmp_path):
    """Not the largest, and not one that lacks them."""
    write(tmp_path / "set" / "log.csv", [row[:3] for row in plain(events())], ["who", "what", "when"])
    wide = [(f"i{n}", f"Film {n} " * 200) for n in range(1, 61)]
    write(tmp_path / "set" / "items.csv", wide, ["id", "title"])
    code, out, err = ask(str(tmp_path / "set"), "--user", "who", "--item", "what", "--time", "when", "--quick")
    assert code == 0, err
    assert "log.csv: the log" in out and "items.csv: the items" in out


def test_files_that_cannot_be_read_are_told_and_passed_over(ask, log, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    log.rename(folder / "log.csv")
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "broken.parquet").write_bytes(b"PAR1 and no more")
    (folder / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n" * 10_000)[:-20])
    pq.write_table(pa.table({"key": pa.array([b"x" * 16] * 9, pa.binary(16))}), folder / "keys.parquet")
    code, out, err = ask(str(folder), "--quick")
    assert code == 0, err
    assert "log.csv: the log" in out and "warning:" in out and "broken.parquet" in out and "cut.csv.gz" in out


def test_optional_columns_that_would_stop_a_night_are_not_used(ask, tmp_path):
    rows = [(*row[:3], "PG-13") for row in plain(events())]
    write(tmp_path / "set" / "log.csv", rows, ["user", "item", "time", "rating"])
    films = [(f"i{n}", f"Film {n}", f"S{n:02}", "yes") for n in range(1, 61)]
    write(tmp_path / "set" / "films.csv", films, ["item", "title", "season", "released"])
    code, out, err = ask(str(tmp_path / "set"))
    assert code == 0, err
    assert "stops a night" not in out and "not used: 'rating'" in out
    assert "season" not in out[out.index("\nsource:") :] and "uploaded_at" not in out[out.index("\nsource:") :]


def test_ids_with_and_without_a_point_belong_together(ask, tmp_path):
    rows = [(u, f"{1000 + int(i[1:])}.0", t, s) for u, i, t, s in plain(events())]
    write(tmp_path / "set" / "log.csv", rows, ["user", "item", "time", "rating"])
    write(tmp_path / "set" / "films.csv", [(1000 + n, f"Film {n}") for n in range(1, 61)], ["item", "title"])
    assert "films.csv: the items" in ask(str(tmp_path / "set"), "--quick")[1]


def test_lists_of_objects_are_rows_only_where_they_make_the_log(ask, tmp_path):
    each = [{"user": u, "item": i, "time": t, "rating": s} for u, i, t, s in plain(events())]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "log.jsonl").write_text("\n".join(map(json.dumps, each)))
    films = [
        {"item": f"i{n}", "title": f"Film {n}", "cast": [{"name": "A"}, {"name": "B"}], "genres": [{"name": "Drama"}]}
        for n in range(1, 61)
    ]
    (tmp_path / "set" / "films.jsonl").write_text("\n".join(map(json.dumps, films)))
    code, out, err = ask(str(tmp_path / "set"), "--quick")
    assert code == 0, err
    assert "log.jsonl: the log" in out and "films.jsonl: the items" in out
    sessions = [{"session": u, "events": [{"aid": i, "ts": t}] * 2} for u, i, t, _ in plain(events())]
    (tmp_path / "otto.jsonl").write_text("\n".join(map(json.dumps, sessions)))
    code, out, err = ask(str(tmp_path / "otto.jsonl"), "--quick")
    assert code == 0 and "item: 'events.aid'" in out, err


def test_minds_lists_are_known_with_the_news_beside_them(ask, tmp_path):
    lines = [f"{n}\tU{n % 9}\t11/{14 + n % 4}/2019 9:05:58 AM\tN90\tN{n % 7}-1 N{n % 5}-0\n" for n in range(60)]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "behaviors.tsv").write_text("".join(lines))
    news = "".join(f"N{n}\tnews\tworld\tT\tA\thttps://x\t[]\t[]\n" for n in range(7))
    (tmp_path / "set" / "news.tsv").write_text(news)
    code, out, err = ask(str(tmp_path / "set"))
    assert code == 0, err
    assert "as MIND has them" in out and "60 events of 9 users and 7 items" in out and "stops a night" not in out
    check_config(yaml.safe_load(out[out.index("\nsource:") : out.index("--to FILE.yaml")]), "printed")
    assert "MIND" in ask(str(tmp_path / "set" / "behaviors.tsv"), "--quick")[1]


def test_text_of_another_encoding_is_read_by_it(ask, tmp_path):
    text = "user,item,time\n" + "".join(f"Zoë{u},{i},{t}\n" for u, i, t, _ in plain(events()))
    (tmp_path / "log.csv").write_bytes(text.encode("latin-1"))
    code, out, err = ask(str(tmp_path / "log.csv"), "--encoding", "latin-1")
    assert code == 0 and "encoding: latin-1" in out and "stops a night" not in out, err


def test_a_log_of_today_alone_has_no_whole_day(ask, tmp_path):
    today = date.today().isoformat()
    write(tmp_path / "log.csv", [(f"u{n}", f"i{n}", f"{today}T00:00:00Z") for n in range(20)], ["user", "item", "time"])
    code, _, err = ask(str(tmp_path / "log.csv"))
    assert code == 0, err


@pytest.mark.parametrize("command", [["run"], ["explain"]])
def test_a_command_that_wants_a_config_and_gets_data_says_what_to_do(command, log, capsys, tmp_path):
    large = tmp_path / "large.csv"
    large.write_text("user,item,time\n" * 100_000)
    for path in (log, tmp_path, large):
        assert run([*command, str(path)]) == 2
        assert f"nightjar inspect {path} --to night.yaml" in capsys.readouterr().err


def test_a_config_may_be_called_anything(tmp_path):
    (tmp_path / "night.conf").write_text("window: {train_days: 9}\n")
    assert load_config(tmp_path / "night.conf").window.train_days == 9


@pytest.mark.parametrize("kind", ["ratings", "plays", "baskets", "sessions"])
@pytest.mark.parametrize("num_days", [1, 2, 3, 4, 5, 9, 30, 181, 182, 400, 2000, 5000])
@pytest.mark.parametrize("share", [1, 5, 30])
def test_every_window_that_is_written_is_one_that_a_night_takes(kind, num_days, share):
    judge_days = max(1, min(180, num_days // (share + 4)))
    found = Potential(kind, 0.0, num_days, num_days - judge_days, judge_days, 10, 10, 1.0, 0.0, 0.1, 0.1)
    warnings: list[str] = []
    settings = _settings(found, warnings)
    if warnings:
        assert num_days < 3 and not settings
        return
    config = check_config(settings, "written")
    last = date.fromordinal(date(2010, 1, 1).toordinal() + num_days - 1)
    days = calendar(config.window, last, date(2010, 1, 1))
    assert config.towers.validation_days < len(days.train)
