import functools
import json
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest

from models.evaluation.catalogue import CatalogueFacts
from models.evaluation.config import EvaluationConfig
from models.evaluation.judging import evaluation_table, headline, hits_by_source
from models.evaluation.potential import sentences
from models.evaluation.systems import lists_from_table, random_lists
from models.evaluation.truth import judged_users, user_segments
from models.serving.list_lengths import ListLengths
from models.serving.sources import with_stages
from tasks.engine.lake import Artifact, Ref
from tasks.engine.outputs import Outputs
from tasks.machine.config import ResourcesConfig
from tasks.pages.breakdowns import in_words, segments_section
from tasks.pages.card import brief_card, limits, model_card
from tasks.pages.commands import RUN
from tasks.pages.config import ReportConfig
from tasks.pages.data import ReportData, RunFacts, StageTime
from tasks.pages.page import template_digest
from tasks.pages.quality import Evaluation
from tasks.registry.registry import MOST_DESCRIBED
from tasks.registry.release_layout import FOLDER
from tasks.stages.groups import Known
from tasks.stages.report import Reported, head_for_prefect, render_report, report, tables_for_prefect

GENRES = ["drama", "comedy", "crime", "documentary", "family", "sport", "music", "science fiction"]
CUT, DATE = "2026-02-27", "2026-03-01"
SNEAKY = 'Q&A <script>alert("x")</script>'


def days_before(date: str, count: int) -> list[str]:
    last = np.datetime64(date)
    return [str(last - back) for back in range(count - 1, -1, -1)]


class MadeNight:
    """Artifacts of a night with a plain taste: user u likes items of one genre, popular ones more."""

    def __init__(
        self, make: functools.partial[Artifact], num_users: int = 40, num_items: int = 60, days: int = 6
    ) -> None:
        self.make, self.random = make, np.random.default_rng(7)
        self.num_users, self.num_items = num_users, num_items
        self.days, self.judged_days = days_before(CUT, days - 2), days_before(DATE, 2)
        self.weights = 1 / np.arange(1, num_items + 1)
        self.genre = np.arange(num_items) % len(GENRES)
        self.taste = self.random.integers(len(GENRES), size=num_users)
        self.users, self.items = self.make_users(), self.make_items()
        self.histories, self.popularity = self.make_past()
        self.watches = [self.make_watches(day) for day in (*self.days, *self.judged_days)]
        self.recommendations = self.make_recommendations()
        self.evaluation = self.make_evaluation()
        self.towers, self.transformer, self.ranker, self.index = self.make_models()
        known = [{"kind": "user", "id": u, "external_id": f"known-{u}"} for u in range(self.num_users)]
        self.id_map = self.make("id_map", CUT, known)

    def draw(self, user: int, count: int) -> list[int]:
        weights = self.weights * np.where(self.genre == self.taste[user], 12, 1)
        return self.random.choice(self.num_items, min(count, self.num_items), False, weights / weights.sum()).tolist()

    def make_users(self) -> Artifact:
        random = self.random
        rows = [
            {
                "user_id": u,
                "age": int(random.integers(8, 80)),
                "region": ["north", "south", "west"][u % 3],
                "lifecycle": ["new", "active", "active", "at_risk", "churned"][u % 5],
                "engagement_tier": ["low", "medium", "high"][u % 3],
                "subscription_type": "basic",
            }
            for u in range(self.num_users)
        ]
        return self.make("users", CUT, rows, audit={"checked": 9, "warnings": []})

    def make_items(self) -> Artifact:
        rows = [
            {
                "item_id": i,
                "title": SNEAKY if i == 0 else f"The {GENRES[self.genre[i]].title()} of {i}",
                "genres": [GENRES[self.genre[i]], GENRES[(i // 3) % len(GENRES)]],
                "content_type": ["movie", "episode", "clip"][i % 3],
            }
            for i in range(self.num_items)
        ]
        warning = {"expectation": "expect_column_values_to_not_be_null", "column": "language"}
        audit = {"checked": 12, "warnings": [{**warning, "unexpected_count": 4, "total": self.num_items}]}
        notes = {"substitutes": [["not_listed", {"count": 7, "dataset": "items"}]]}
        return self.make("items", CUT, rows, audit=audit, notes=notes)

    def make_past(self) -> tuple[Artifact, Artifact]:
        rows, counts = [], np.zeros(self.num_items, dtype=int)
        for user in range(self.num_users - self.num_users // 10):
            liked = self.draw(user, 1 + int(self.random.pareto(1) * 6) % (self.num_items // 3))
            counts[liked] += 1
            seen = sorted(liked)
            size = len(liked)
            rows.append(
                {"user_id": user, "item_ids": liked, "times": [0] * size, "watch_shares": [1.0] * size, "seen": seen}
            )
        ranked = [i for i in np.argsort(-counts, kind="stable").tolist() if counts[i]]
        popular = [
            {"item_id": i, "score": counts[i], "num_users": counts[i], "rank": r} for r, i in enumerate(ranked, 1)
        ]
        histories = self.make("histories", CUT, rows)
        return histories, self.make("popularity", CUT, popular)

    def make_watches(self, day: str) -> Artifact:
        liked = [(u, i) for u in range(self.num_users) if self.random.random() < 0.6 for i in self.draw(u, 4)]
        rows = [
            {"watch_id": n, "user_id": u, "item_id": i, "time": np.datetime64(day, "us").item(), "weight": 1.0,
             "positive": n % 4 > 0}
            for n, (u, i) in enumerate(liked)
        ]  # fmt: skip
        return self.make("watches", day, rows, audit={"checked": 20, "warnings": []})

    def make_recommendations(self) -> Artifact:
        sources = ["towers", "als", "item_item", "popularity", "content"]
        reasons = ["because you watched The Drama of 8", "popular now", "new this week", "for people like you"]
        rows = [
            {
                "user_id": u,
                "rank": r,
                "item_id": i,
                "external_user_id": f"u{u}",
                "external_item_id": f"i{i}",
                "score": 1 / r,
                "source": sources[(u + r) % 5],
                "reason": reasons[r % 4],
            }
            for u in range(self.num_users)
            for r, i in enumerate(self.draw(u, 20), 1)
        ]
        lengths = ListLengths(20, self.num_users, 2, 1, {"seen": 3}).to_dict()
        removals = {"seen": 900, "region": 120, "tier": 60, "maturity": 31, "availability": 4}
        return self.make("recommendations", CUT, rows, notes={"removals": removals, "lengths": lengths})

    def make_evaluation(self) -> Artifact:
        config = EvaluationConfig(num_resamples=200)
        histories, recommendations = self.histories.table(), self.recommendations.table()
        catalogue = CatalogueFacts.of(self.items.table(), self.popularity.table())
        days = [w.table() for w in self.watches if w.date in self.judged_days]
        judged = judged_users(days, np.arange(self.num_users), catalogue.item_ids, histories)
        systems = {"final": lists_from_table(recommendations, judged.user_ids, 20)}
        ranked = self.popularity.table().sort_by("rank")["item_id"].to_numpy()
        systems["popularity"] = np.tile(ranked[:20], (len(judged.user_ids), 1))
        for seed, name in enumerate(("towers", "als", "item_item", "content")):
            mixed = np.random.default_rng(seed).permuted(systems["final"], axis=1)
            systems[name] = np.where(np.arange(20) % (seed + 2), mixed, systems["popularity"])
        systems["random"] = random_lists(catalogue.item_ids, judged.seen, 20, 0)
        systems["oracle"] = np.array([self.draw(u, 20) for u in judged.user_ids])
        table = evaluation_table(systems, judged, user_segments(judged, self.users.table()), catalogue, config)
        stand_ins = {"nothing": "final", "als": "item_item", "towers": "towers", "ranker": "popularity", "mmr": "als"}
        parts = {f"without {part}": systems[name] for part, name in stand_ins.items()}
        every = {"all": np.ones(len(judged.user_ids), dtype=bool)}
        without = evaluation_table(parts, judged, every, catalogue, config, "without nothing")
        notes = {
            "judged_days": self.judged_days, "ablation_k": 10,
            "users_judged": len(judged.user_ids), "left_out": judged.left_out,
            "hits_by_source": hits_by_source(recommendations, judged, 10), **headline(table, systems, judged, config),
        }  # fmt: skip
        return self.make("evaluation", DATE, pa.concat_tables([table, without]), notes=notes)

    def make_models(self) -> tuple[Artifact, ...]:
        def log(losses: list[float], best: int) -> dict[str, str]:
            epochs = [
                {"epoch": n, "steps": 50, "loss": loss, "metric": 0.3 - 0.01 * (n - best) ** 2}
                for n, loss in enumerate(losses, 1)
            ]
            return {"training_log.json": json.dumps({"epochs": epochs, "best_epoch": best})}

        towers = self.make("towers", CUT, notes={"validation_k": 100}, files=log([5.1, 4.4, 4.1, 3.95, 3.9, 3.88], 4))
        transformer = self.make("transformer", CUT, notes={"validation_k": 50}, files=log([3.1, 2.9], 2))
        ranker = self.make("ranker", CUT, files=log([0.71, 0.64, 0.62], 3))
        rungs = [{"parameter": 2**p, "recall": r} for p, r in enumerate((0.41, 0.66, 0.83, 0.93, 0.97))]
        facts = {"type": "ivf", "ladder": rungs, "recall": 0.97, "min_recall": 0.95, "recall_k": 100, "num_items": 60}
        return towers, transformer, ranker, self.make("index", CUT, notes=facts)

    def impressions(self) -> tuple[Artifact, ...]:
        return tuple(self.make("impressions", w.date) for w in self.watches)

    def arguments(self) -> dict[str, Any]:
        names = (
            "evaluation",
            "recommendations",
            "index",
            "users",
            "items",
            "id_map",
            "histories",
            "popularity",
        )
        tables = ("als_user_factors", "als_item_factors", "item_similarity", "content_similarity", "popularity")
        declared = json.dumps([source.declaration() for source in with_stages(tables)])
        empty = {
            "release": self.make("release", DATE),
            "bundle": self.make("bundle", DATE, files={f"{FOLDER}/sources.json": declared}),
        }
        return {name: getattr(self, name) for name in names} | empty | {
            "watches": tuple(self.watches), "impressions": self.impressions(), "others": (),
            "models": (self.towers, self.transformer, self.ranker), "system": "netflix", "config": ReportConfig(),
            "template": template_digest(),
        }  # fmt: skip


def make_report(folder: Path, arguments: dict[str, Any]) -> Path:
    out = Outputs(DATE, folder, ("report",), ResourcesConfig(), folder / "home", "report")
    known = Known(*(arguments[name] for name in ("users", "items", "id_map")))
    told = {f.name: arguments[f.name] for f in fields(Reported) if f.name != "known"}
    others = {name: arguments[name] for name in ("others", "system", "config", "template")}
    report.function(out, Reported(known=known, **told), **others)
    return folder / "report"


@pytest.fixture(scope="module")
def night(artifact_of: Callable[..., Artifact], tmp_path_factory: pytest.TempPathFactory) -> MadeNight:
    return MadeNight(functools.partial(artifact_of, tmp_path_factory.mktemp("lake")))


@pytest.fixture(scope="module")
def arguments(night: MadeNight) -> dict[str, Any]:
    return night.arguments()


@pytest.fixture(scope="module")
def made(arguments: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = make_report(tmp_path_factory.mktemp("report"), arguments)
    return Artifact(Ref("report", DATE, "0"), folder)


@pytest.fixture(scope="module")
def page(made: Artifact) -> str:
    return (made.path / "report.html").read_text()


@pytest.fixture
def remade(arguments: dict[str, Any], tmp_path: Path) -> Callable[..., tuple[ReportData, str]]:
    def remade(**changes: Any) -> tuple[ReportData, str]:
        folder = make_report(tmp_path, arguments | changes)
        return ReportData.load(folder), (folder / "report.html").read_text()

    return remade


class Page(HTMLParser):
    """Fails on tags that do not match; collects what a page refers to and its ids."""

    VOID = ("meta", "link", "br", "img", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "xlink:href", "src"):
                self.references.append(value or "")
            else:
                self.references += re.findall(r"url\((.*?)\)", value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_one_file_that_runs_and_loads_nothing(page: str):
    parsed = Page(page)
    assert not {"script", "link", "img", "iframe", "object"} & set(parsed.tags)
    assert all(reference.startswith("#") for reference in parsed.references)
    assert "http:" not in page
    assert "https:" not in page
    assert len(page) < 3_000_000


def test_ids_are_unique_and_references_have_a_target(page: str):
    parsed = Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {r.removeprefix("#") for r in parsed.references} <= set(parsed.ids)


def test_titles_are_text_whatever_they_say(page: str):
    assert "&lt;script&gt;alert" in page


def test_code_in_words_is_set_as_code(page: str):
    assert "<code>nightjar show DATASET --date DATE</code>" in page
    assert "`" not in page


def test_colours_follow_light_and_dark(page: str):
    plots = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(plots) >= 12
    assert not any(re.search(r"#[0-9a-f]{6}\b", plot) for plot in plots)
    used = {name for plot in plots for name in re.findall(r"var\((--[a-z]+)\)", plot)}
    light, dark = re.findall(r":root \{(.*?)\}", page, flags=re.DOTALL)
    assert used - {"--sans"} <= set(re.findall(r"(--[a-z]+):", dark))
    assert used <= set(re.findall(r"(--[a-z]+):", light))


def test_every_plot_has_a_caption_and_words_for_those_who_cannot_see_it(page: str, made: Artifact):
    figures = [f for section in ReportData.load(made.path).sections for f in section.figures]
    assert all(len(f.caption) > 40 for f in figures)
    assert all(re.search(r'role="img" aria-label="[^"]{10,}', f.svg) for f in figures)
    assert page.count("<figcaption>") == len(figures)


def test_the_verdict_and_the_tiles_say_what_the_evaluation_says(night: MadeNight, page: str):
    notes = night.evaluation.notes
    assert f"{notes['lift_over_popularity']['ratio']:.2f} times its NDCG@10" in page
    assert f'<span class="figure">{notes["ndcg"]["final"]:.3f}</span>' in page
    assert f"by {notes['users_judged']} users" in page


def test_the_quality_chapter_begins_with_what_the_days_allow(night: MadeNight, made: Artifact, page: str):
    """Counted by hand from the same days."""
    data = ReportData.load(made.path)
    rows = [(day.date, r) for day in night.watches for r in day.table().to_pylist()]
    past = {r["user_id"] for date, r in rows if r["positive"] and date not in night.judged_days}
    people = {r["user_id"] for date, r in rows if r["positive"] and date in night.judged_days}
    assert data.potential is not None
    assert (data.potential.num_judged, data.potential.with_history) == (len(people), len(people & past))
    assert (data.potential.num_days, data.potential.judge_days) == (len(night.watches), len(night.judged_days))
    told = sentences(data.potential)
    assert f"from {night.judged_days[0]}: {len(people)} people like something then" in told[1]
    assert data.sections[0].id == "quality" and list(data.sections[0].points) == told
    chapter = page[page.index('<section id="quality">') : page.index("<figure>")]
    assert all(f"<li>{sentence.replace('`', '')}</li>" in re.sub("</?code>", "", chapter) for sentence in told)


def test_a_report_from_before_these_were_told_is_still_read(made: Artifact, tmp_path: Path):
    said = json.loads((made.path / "report.json").read_text())
    del said["potential"]
    for section in said["sections"]:
        del section["points"]
    (tmp_path / "report.json").write_text(json.dumps(said))
    assert Page(render_report(Artifact(Ref("report", DATE, "0"), tmp_path), RunFacts())).ids


def test_all_chapters_are_there_in_order(made: Artifact):
    sections = [section.id for section in ReportData.load(made.path).sections]
    about_lists = ["quality", "segments", "sources", "ablations", "bias", "people"]
    assert sections == [*about_lists, "training", "index", "data", "audits", "lineage"]


def test_warnings_and_substitutes_are_named_at_the_top(page: str):
    top = page[: page.index("<main>")]
    assert "items of 2026-02-27: language: column values to not be null (4 of 60 rows)" in top
    assert "7 items of the log are not listed: nothing but their id is known." in top


def test_removals_hits_and_rows_by_day_are_told(made: Artifact, night: MadeNight):
    data = ReportData.load(made.path)
    sections = {section.id: section for section in data.sections}
    removed = next(f for f in sections["sources"].figures if "removed" in f.title)
    assert all(reason in removed.svg for reason in ("seen", "region", "tier", "maturity", "availability"))
    later = {row[0]: row[-1] for row in sections["sources"].tables[0].rows}
    assert later == {
        "towers": "by what is known of them", "als": "nothing", "item_item": "by their history",
        "content": "by their history", "popularity": "as everybody",
    }  # fmt: skip
    volumes = {row[0]: row for row in sections["data"].tables[0].rows}
    assert volumes["watches"][1:3] == (6, sum(w.rows for w in night.watches))
    keys = {row[0]: row[2] for row in sections["lineage"].tables[0].rows}
    assert keys["recommendations"] == night.recommendations.key[:12]
    assert keys["watches"] == "6 artifacts"


def test_people_reach_from_no_history_to_the_longest_and_ticks_are_true(made: Artifact, night: MadeNight):
    people = next(s for s in ReportData.load(made.path).sections if s.id == "people").people
    found = [re.search(r"(\d+) in history", p.about) for p in people]
    assert [match is not None for match in found] == ["in history" in p.about for p in people]
    sizes = [int(match[1]) if match else 0 for match in found]
    assert sizes == sorted(sizes)
    assert sizes[0] == 0
    assert sizes[-1] == max(map(len, night.histories.table()["item_ids"].to_pylist()))
    liked = set()
    for day in (w.table() for w in night.watches if w.date in night.judged_days):
        liked |= {(r["user_id"], r["item_id"]) for r in day.to_pylist() if r["positive"]}
    titles = dict(
        zip(night.items.table()["item_id"].to_pylist(), night.items.table()["title"].to_pylist(), strict=True)
    )
    for person in people:
        user = int(person.name.removeprefix("user known-"))
        expected = {titles[i] for u, i in liked if u == user}
        assert all(item.watched == (item.title in expected) for item in person.offered)
    assert any(item.watched for person in people for item in person.offered)


def test_the_same_night_makes_the_same_page(page: str, remade):
    assert remade()[1] == page


def test_settings_change_what_is_shown(remade):
    config = ReportConfig(title="Late Show", sample_users=2, sample_places=3, max_points=10)
    data, page = remade(config=config)
    people = next(s for s in data.sections if s.id == "people").people
    assert [len(p.offered) for p in people] == [3, 3]
    assert "Late Show, nightly report" in page
    scatter = next(f for s in data.sections for f in s.figures if "by popularity" in f.title)
    assert scatter.svg.count("<use") < 20


def test_a_log_without_impressions_oracle_or_ablations_has_a_report_too(remade, night: MadeNight, tmp_path: Path):
    rows = [r for r in night.evaluation.table().to_pylist() if r["system"] != "oracle" and "without" not in r["system"]]
    notes = {k: v for k, v in night.evaluation.notes.items() if k != "share_of_oracle"}
    bare = night.make.func(tmp_path / "bare", "evaluation", DATE, rows, notes=notes)
    data, page = remade(impressions=(), evaluation=bare)
    assert "ablations" not in [s.id for s in data.sections]
    assert "planted" not in data.verdict
    assert "impressions" not in page


def test_what_differs_from_run_to_run_is_only_in_the_flows_page(made: Artifact, page: str):
    stages = (StageTime("towers", "ran", 12.5, 0, 3 << 20), StageTime("events", "cached", 0.1, 50_000))
    run = RunFacts(
        "nightjar-recommender 7", stages, {"latency_ms": {"p50": 0.05, "p99": 0.11}}, 80.0, {"log": "log.txt"}
    )
    live = render_report(made, run)
    Page(live)
    for words in ("nightjar-recommender 7", "12.5 s", "50,000", "3 MiB", "0.05 ms (p50)", "80.0 s", "log.txt"):
        assert words in live
        assert words not in page


def test_prefect_gets_every_table_of_the_page(made: Artifact):
    tables = tables_for_prefect(made)
    assert len(tables) == sum(len(s.tables) for s in ReportData.load(made.path).sections)
    assert len({key for key, _, _ in tables}) == len(tables)
    assert all(re.fullmatch(r"[a-z0-9-]+", key) and title for key, title, _ in tables)
    quality = next(rows for key, _, rows in tables if key == "quality")
    assert quality[0]["system"] != quality[-1]["system"] == "random"
    assert re.fullmatch(r"0\.\d{3}", quality[0]["NDCG"])


def test_the_template_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    before = template_digest()
    other = tmp_path / "report.html.j2"
    other.write_text("other")
    monkeypatch.setattr("tasks.pages.page.TEMPLATE", other)
    assert template_digest() != before


def test_the_head_of_the_report_reads_as_markdown_and_its_plots_bring_their_colours_along(made: Artifact):
    data = ReportData.load(made.path)
    head = head_for_prefect(made, {"report": "http://127.0.0.1:5000/#/r", "data docs": "/home/docs/index.html"})
    assert data.verdict in head and all(t.value in head for t in data.tiles)
    assert "[http://127.0.0.1:5000/#/r](http://127.0.0.1:5000/#/r)" in head and "`/home/docs/index.html`" in head
    pictures = re.findall(r"!\[.+?\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", head)
    assert len(pictures) == len(data.sections[0].figures) > 0
    for picture in map(b64decode, pictures):
        root = ElementTree.fromstring(picture)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        used = set(re.findall(r"var\((--[a-z-]+)\)", picture.decode()))
        assert used <= set(re.findall(r"(--[a-z-]+):", root.attrib["style"])), "a colour that only the page knows"


def test_the_studys_figures_stand_beside_the_accurate_ones_and_hits_by_kind(made: Artifact, night: MadeNight):
    sections = {section.id: section for section in ReportData.load(made.path).sections}
    right, besides = sections["quality"].tables
    assert [row[0] for row in right.rows] == [row[0] for row in besides.rows]
    figures = {(r["system"], r["segment"], r["metric"], r["k"]): r for r in night.evaluation.table().to_pylist()}
    column = besides.columns.index("combined")
    for row in besides.rows:
        assert row[column] == figures[row[0], "all", "study_combined", 10]["value"]
        low, high = map(float, str(row[column + 1]).split(" to "))
        assert low <= float(row[column] or 0) + 5e-4
        assert float(row[column] or 0) <= high + 5e-4
    kinds = next(table for table in sections["segments"].tables if table.key == "kinds")
    hits = sum(int(row[1] or 0) for row in kinds.rows)
    precision = figures["final", "all", "precision", 10]
    assert hits == round(precision["value"] * 10 * precision["num_users"])


def test_every_chapter_says_how_its_figures_are_read_and_computed_again(made: Artifact, page: str):
    from expectations.datasets import DATASETS

    for section in ReportData.load(made.path).sections:
        *reads, (_, again) = section.commands
        assert reads and again.startswith(f"{RUN} --date {DATE} --force ")
        assert f"<code>{again}</code>" in page
        pattern = r"nightjar (show|export) (\w+) --date [-0-9]+ --key \w+( --to \w+.csv)?"
        matches = [re.fullmatch(pattern, command) for _, command in reads]
        assert all(match and match[2] in DATASETS for match in matches)
        if section.id == "training":
            assert again.endswith("--force towers --force transformer --force ranker")
            rows = {row[0]: row[1] for row in section.tables[0].rows}
            assert rows["transformer"] == "candidates, order" and rows["ranker"] == "nothing here"
    command = f"nightjar run deployments/demo.yaml --date {DATE} --set 'a.b=[1, 2]'"
    live = render_report(made, RunFacts(command=command))
    assert "CONFIG.yaml" not in live
    escaped = command.replace("'", "&#39;")
    assert f"{escaped} --force evaluation" in live


@pytest.fixture(scope="module")
def judged(night: MadeNight) -> Evaluation:
    return Evaluation(night.evaluation.table().to_pylist(), night.evaluation.notes)


def test_the_card_says_what_the_report_says_and_brings_its_plots(made: Artifact, judged: Evaluation):
    data = ReportData.load(made.path)
    run = RunFacts(version="nightjar-recommender 7", gates=(("coverage", "passed", "0.5"),), decision="It is champion.")
    card = model_card(data, judged, run, {"k": 20})
    assert card.startswith(f"# Model card: nightjar-recommender 7, night of {DATE}\n\n{data.verdict}")
    heads = re.findall(r"^## (.+)$", card, flags=re.MULTILINE)
    assert heads == ["Intended use", "Data", "Training", "Metrics", "Segments", "Limits", "Gates", "Lineage",
                     "Compute it again"]  # fmt: skip
    final = judged.estimate("final", "ndcg")
    assert final is not None
    assert f"| final | {final.value:.3f} | {final.low:.3f} to {final.high:.3f} |" in card
    assert data.potential and all(f"- {sentence}" in card for sentence in sentences(data.potential))
    assert "k: 20" in card and "- coverage: passed, 0.5" in card
    assert card.count("data:image/svg+xml;base64,") == sum(
        len(s.figures) for s in data.sections if s.id in ("quality", "segments")
    )


def test_the_card_beside_the_version_is_brief(made: Artifact, judged: Evaluation):
    brief = brief_card(ReportData.load(made.path), judged, RunFacts(decision="It is champion."))
    assert "base64" not in brief and "## Lineage" not in brief and len(brief) < MOST_DESCRIBED
    assert "## Limits" in brief and "It is champion." in brief and "| final | " in brief


def test_a_lead_over_popularity_is_judged_user_by_user(made: Artifact, judged: Evaluation):
    """Not by two intervals that overlap: the same users had both lists."""
    name = next(n for n in judged.segments(of_items=False) if judged.row("popularity", "ndcg_vs_final", n))
    key, said = ("popularity", name, "ndcg_vs_final", judged.k), "No better than popularity"
    for high, expected in ((-0.01, False), (0.01, True)):
        rows = {**judged.rows, key: {**judged.rows[key], "value": -0.05, "low": -0.09, "high": high, "p_value": 0.004}}
        changed = Evaluation(rows.values(), judged.notes)
        told = next((line for line in limits(ReportData.load(made.path), changed) if line.startswith(said)), "")
        assert (in_words(name) in told) == expected
        section = segments_section(changed)
        assert section is not None
        table = section.tables[0]
        row = dict(zip(table.columns, next(r for r in table.rows if r[0] == in_words(name)), strict=True))
        assert (row["lead"], row["p"]) == (0.05, 0.004)


def test_limits_name_who_is_served_worst_and_what_stood_in(made: Artifact, judged: Evaluation):
    told = limits(ReportData.load(made.path), judged)
    values = {n: judged.value("final", "ndcg", n) for n in judged.segments(of_items=False)}
    worst = next(line for line in told if line.startswith("Served worst"))
    assert f"users with {in_words(min(values, key=lambda n: (values[n], n)))}, NDCG" in worst
    assert "In place of missing data: 7 items of the log are not listed: nothing but their id is known." in told
    assert any(line.startswith("Audit warning: items of") for line in told)
