"""The tab with the knobs: the list under other settings at once, beside the release's own; judged on demand."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from expectations.errors import UserError
from explorer.data import Release, Store
from explorer.guard import guarded, warn, words
from explorer.judging import KNOBS, judged_live
from explorer.knobs import Knob, applies, differences, knobs, reach, turned, value_of
from explorer.nights import last_settings
from explorer.pages import card, chips, heading, page, table, tiles, titled
from explorer.people import genres_line
from explorer.requests import Answer, Question, ask
from explorer.shared import Asked, Shared
from explorer.theme import gr
from flows.config import load_config

LABELS = {
    "ndcg": "NDCG", "recall": "recall", "hit_rate": "hit rate", "mrr": "MRR", "map": "MAP", "precision": "precision",
    "diversity": "diversity", "novelty": "novelty (bits)", "average_popularity": "average popularity",
    "coverage": "coverage", "gini": "Gini",
}  # fmt: skip


def show(release: Release, question: Question, pipeline: Mapping[str, Any]) -> str:
    """The list under these settings, where each item moved, and how both lists compare."""
    own, now = ask(release, question), ask(release, question, pipeline)
    changes = differences(release.bundle.pipeline, pipeline)
    told = chips(changes, first=True) if changes else Markup('<span class="quiet">as released</span>')
    names = ("", "was", "title and genres", "relevance", "from", "why")
    rows = [
        (r["rank"], _moved(r["rank"], r["item_id"], own),
         titled(release.title(r["item_id"]), genres_line(release, r["item_id"])), r["score"],
         chips([r["source"]], first=True), r["reason"])
        for r in now.rows
    ]  # fmt: skip
    gone = [release.title(i) for i in own.items if i not in now.items]
    caption = f"Gone: {', '.join(gone)}." if gone else "Nothing of the release's own list is gone."
    return page(
        heading(f"{question.who()[:1].upper()}{question.who()[1:]}, release {release.number}"),
        Markup('<p class="caption">{}</p>').format(told),
        tiles(_figures(release, own, now)),
        card("The list under these settings", table(names, rows), caption=caption),
    )


def _moved(rank: int, item_id: int, own: Answer) -> Markup:
    if item_id not in own.items:
        return Markup('<span class="up">new</span>')
    before = own.items.index(item_id) + 1
    kind = "up" if rank < before else "down" if rank > before else "quiet"
    return Markup('<span class="{}">{}</span>').format(kind, before)


def _figures(release: Release, own: Answer, now: Answer) -> dict[str, tuple[str, str]]:
    shared = len(set(own.items) & set(now.items))
    return {
        "of its own list kept": (f"{shared} of {len(own.items)}", f"{len(now.items)} places now"),
        "different primary genres": (str(_genres(release, now)), f"{_genres(release, own)} in its own list"),
        "sources at work": (str(_sources(now)), f"{_sources(own)} in its own list"),
        "candidates removed": (
            f"{sum(now.removals.values()):,}",
            ", ".join(f"{n} {v}" for n, v in now.removals.items()),
        ),
    }


def _genres(release: Release, answer: Answer) -> int:
    return len({release.genres[i][0] for i in answer.items if release.genres.get(i)})


def _sources(answer: Answer) -> int:
    return len({row["source"] for row in answer.rows})


def over_all(store: Store, release: Release, pipeline: Mapping[str, Any]) -> str:
    """Both settings on the judged days, with the difference user by user."""
    everybody = [r for r in judged_live(store, release, pipeline).to_pylist() if r["segment"] == "all"]
    figures = {(r["system"], r["metric"]): r for r in everybody}
    k = figures["final", "ndcg"]["k"]
    users = figures["final", "ndcg"]["num_users"]
    metrics = [m for (system, m) in figures if system == "final"]
    rows = [
        (LABELS.get(m, m), figures["final", m]["value"], _ends(figures["final", m]), figures[KNOBS, m]["value"],
         _ends(figures[KNOBS, m]), *_difference(figures.get((KNOBS, f"{m}_vs_final"))))
        for m in metrics if (KNOBS, m) in figures
    ]  # fmt: skip
    places = (f"at {k} places", "as released", "95% interval", "these settings", "95% interval")
    names = (*places, "difference, interval", "p-value")
    caption = (
        f"On {users:,} users of the release's own judged days. The difference is taken user by user; one whose "
        "interval holds 0 may be chance."
    )
    changes = differences(release.bundle.pipeline, pipeline)
    told = Markup('<p class="caption">Make it a release: <code>{}</code></p>')
    tail = told.format(command(store, release, changes)) if changes else ""
    return page(card("Over all", table(names, rows, digits=4), tail, caption=caption))


def command(store: Store, release: Release, changes: Sequence[str]) -> str:
    """What makes a release of the same system with some settings changed."""
    system = release.bundle.pipeline.get("system")
    return store.command(release.version, [f"system={system}", *changes] if system else changes)


def _ends(row: Mapping[str, Any] | None, sign: str = "") -> str:
    if row is None or row["low"] is None:
        return ""
    return f"{row['low']:{sign}.4f} to {row['high']:{sign}.4f}"


def _difference(row: Mapping[str, Any] | None) -> tuple[str, str]:
    """The interval of the difference in a metric and its p-value, as texts; empty where nothing was compared."""
    return ("", "") if row is None else (_ends(row, sign="+"), f"{row['p_value']:.3f}")


def dims(store: Store) -> Sequence[tuple[str, int]]:
    """Vector sizes that were trained, with the newest release of each."""
    newest: dict[int, int] = {}
    for version in store.versions():
        dim = store.facts(version).get("dim")
        if dim is not None:
            newest.setdefault(int(dim), version.number)
    return [(f"{dim} dimensions, release {number}", number) for dim, number in sorted(newest.items())]


SECTIONS = {
    "list": ("The list", True), "sources": ("Sources: candidates and weights", True), "rank": ("Ranking", True),
    "order": ("Order: variety, caps, freshness, exploration", True), "history": ("History", False),
    "filters": ("Filters", False),
}  # fmt: skip
"""Title of each group of knobs, and whether it stands open."""


def build(shared: Shared, name: str) -> None:
    """The tab: knobs to the left, the list to the right."""
    with gr.Row():
        with gr.Column(scale=2, min_width=340):
            reset = gr.Button("As released", elem_id="reset")
            placed = _widgets(knobs())
            _dimensions(shared)
            _meanings(knobs())
        with gr.Column(scale=4):
            output = gr.HTML(elem_id="turned")
            judge = gr.Button("Judge these settings over all", elem_id="judge")
            judged = gr.HTML(elem_id="judged")
    inputs = {knob.name: widget for knob, widget in placed}
    stand_for = gr.State(None)  # the release whose settings the knobs show

    def pipeline(asked: Asked, shown: int | None, values: tuple[Any, ...]) -> dict[str, Any]:
        own: dict[str, Any] = shared.store.release(asked["release"]).bundle.pipeline
        return turned(own, dict(zip(inputs, values, strict=True))) if shown == asked["release"] else own

    def fill(asked: Asked, shown: int | None, *values: Any) -> str:
        return show(*shared.opened(asked), pipeline(asked, shown, values))

    def keep(asked: Asked | None, shown: int | None, *values: Any) -> Any:
        try:
            return pipeline(asked, shown, values) if asked else None
        except Exception:  # the list says what is wrong
            return gr.skip()

    def set_all(number: int | None) -> Any:
        if number is None:
            return [gr.skip()] * (len(inputs) + 1)
        own = shared.store.release(number).bundle.pipeline
        return [*(_set(knob, own) for knob, _ in placed), number]

    everything = [stand_for, *inputs.values()]
    moved = [widget.input for widget in inputs.values()]
    back = gr.on([shared.release.change, reset.click], set_all, shared.release, [*inputs.values(), stand_for],
                 show_progress="hidden")  # fmt: skip
    filling = shared.fills(name, fill, [output], everything, tuple(moved))
    back.then(**filling)
    gr.on([*moved, stand_for.change], keep, [shared.asked, *everything], shared.turned, show_progress="hidden")

    def judge_all(asked: Asked | None, shown: int | None, *values: Any) -> str:
        if asked is None:
            return ""
        return over_all(shared.store, shared.store.release(asked["release"]), pipeline(asked, shown, values))

    judge.click(guarded(1)(judge_all), [shared.asked, *everything], judged)


def _widgets(all_knobs: Sequence[Knob]) -> list[tuple[Knob, Any]]:
    """A slider or a switch for each number of the settings, in groups."""
    found: list[tuple[Knob, Any]] = []
    order = list(SECTIONS)
    for section, group in groupby(sorted(all_knobs, key=lambda k: order.index(k.section)), key=lambda k: k.section):
        title, is_open = SECTIONS[section]
        with gr.Accordion(title, open=is_open):
            listed = list(group)
            for start in range(0, len(listed), 2):
                with gr.Row():
                    found += [(knob, _widget(knob)) for knob in listed[start : start + 2]]
    return found


def _widget(knob: Knob) -> Any:
    label = knob.name.removeprefix(f"{knob.section}.").replace("_", " ").replace(".", ": ").replace(": num ", ": ")
    marked: dict[str, Any] = {"label": label, "elem_id": f"knob-{knob.name.replace('.', '-')}", "min_width": 150}
    if knob.kind is bool:
        return gr.Checkbox(value=bool(knob.default), **marked)
    high = reach(knob, knob.default)
    return gr.Slider(minimum=knob.low, maximum=high, value=knob.default, step=knob.step, **marked)


def _meanings(all_knobs: Sequence[Knob]) -> None:
    """What each knob does, as the settings say it."""
    with gr.Accordion("What the knobs mean", open=False):
        gr.HTML(page(table(("setting", "meaning"), [(f"pipeline.{k.name}", k.meaning) for k in all_knobs], tall=True)))


def _set(knob: Knob, pipeline: Mapping[str, Any]) -> Any:
    """A knob at the value of a release; out of use where it would change nothing there."""
    value = value_of(pipeline, knob.name)
    if value is None:
        return gr.update(interactive=False)
    wide: dict[str, Any] = {} if knob.kind is bool else {"maximum": reach(knob, value)}
    return gr.update(value=value, interactive=applies(knob, pipeline), **wide)


def _dimensions(shared: Shared) -> None:
    """The size of the vectors is no knob but a training: choose one that there is, or start another."""
    with gr.Accordion("Dimension of the vectors", open=True):
        trained = gr.Dropdown(label="trained", choices=[], elem_id="dimension")
        wanted = gr.Number(label="another", value=128, precision=0, minimum=1, maximum=1024)
        start = gr.Button("Train it", elem_id="train-dimension")

    def known(number: int | None) -> Any:
        found = list(dims(shared.store))
        return gr.Dropdown(choices=found, value=number if number in [n for _, n in found] else None)

    def train(dim: float | None) -> None:
        try:
            if not dim:
                raise UserError("write the number of dimensions to train")
            settings, config, overrides = last_settings(shared.store.home)
            changed = (*overrides, f"towers.dim={int(dim)}")
            checked = load_config(Path(config) if config else None, changed, settings)
            shared.nights.start(f"A night with {int(dim)} dimensions", checked, config, changed)
            gr.Info("started; the tab Night shows how it goes")
        except Exception as error:
            warn(words(error))

    shared.release.change(known, shared.release, trained, show_progress="hidden")
    trained.input(lambda number: number if number else gr.skip(), trained, shared.release)
    start.click(train, wanted, None)
