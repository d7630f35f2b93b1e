"""The tab that sets two or three releases beside each other, on one person and over everybody."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from markupsafe import Markup

from expectations.errors import UserError
from explorer.data import Release, Store
from explorer.pages import Cell, card, chips, columns, heading, page, table, titled
from explorer.people import genres_line
from explorer.requests import Answer, Question, ask
from explorer.shared import Asked, Shared
from explorer.tabs.try_settings import LABELS
from explorer.theme import gr
from tasks.pages.plots import Estimate, intervals
from tasks.pages.quality import MARKS, Evaluation
from tasks.releases.comparing import overlap

MOST = 3
PLOTTED = ("ndcg", "recall", "hit_rate", "mrr", "diversity")
Compared = Sequence[tuple[str, Release, dict[str, Any] | None]]
"""Name, release and settings (None: its own) of each side."""


def on_one(compared: Compared, question: Question) -> str:
    """The lists beside each other, what they share, and what only one has."""
    answers = {name: ask(release, question, pipeline) for name, release, pipeline in _checked(compared)}
    releases = {name: release for name, release, _ in compared}
    # Dense ids stay the same from release to release, while users and items are listed.
    lists = {name: set(answer.items) for name, answer in answers.items()}
    cards = [
        card(name, _list(releases[name], answer, [i for n, i in lists.items() if n != name]), caption=answer.note)
        for name, answer in answers.items()
    ]
    lead = "Blue titles are in one list alone. " + "; ".join(
        f"{len(lists[a] & lists[b])} items are in both {a} and {b}" for a, b in combinations(lists, 2)
    )
    return page(heading(f"{question.who()[:1].upper()}{question.who()[1:]}", lead + "."), columns(*cards))


def _list(release: Release, answer: Answer, others: list[set[int]]) -> Markup:
    rows = []
    for row in answer.rows:
        item = row["item_id"]
        alone = not any(item in other for other in others)
        title = Markup('<span style="color: var(--first)">{}</span>').format(release.title(item)) if alone else Markup(
            "{}").format(release.title(item))  # fmt: skip
        rows.append((row["rank"], titled(title, genres_line(release, item)), chips([row["source"]]), row["score"]))
    return table(("", "title", "from", "relevance"), rows)


def _checked(compared: Compared) -> Compared:
    if len(compared) < 2:
        raise UserError("choose two or three releases to compare")
    return compared


def over_all(store: Store, compared: Compared) -> str:
    """Figures with intervals from the evaluation of each night, by segment too, and how alike all lists are."""
    _checked(compared)
    judged = {name: store.evaluation(release.version) for name, release, pipeline in compared if pipeline is None}
    there = {name: evaluation for name, evaluation in judged.items() if evaluation}
    gone = [name for name, evaluation in judged.items() if evaluation is None]
    notes = [f"The lake no longer has how {name} was judged." for name in gone]
    notes += [f"{name} was never judged: the tab Knobs judges settings." for name, _, p in compared if p is not None]
    parts = [Markup('<p class="caption">{}</p>').format(" ".join(notes))] if notes else []
    if there:
        parts += [_plot(there), _figures(there), _segments(there)]
    parts += [_alike(store, compared)]
    return page(heading("Over everybody", _days(there)), *parts)


def _days(there: dict[str, Evaluation]) -> str:
    days = {name: e.notes["judged_days"] for name, e in there.items()}
    if len({tuple(d) for d in days.values()}) == 1:
        return f"All judged on {' and '.join(next(iter(days.values())))}."
    told = "; ".join(f"{name}: {d[0]} to {d[-1]}" for name, d in days.items())
    return f"Judged on different days, so differences may be the days': {told}." if days else ""


def _plot(there: dict[str, Evaluation]) -> Markup:
    k = next(iter(there.values())).k
    rows: dict[str, dict[str, Estimate]] = {}
    for metric in PLOTTED:
        found = {name: e for name, judged in there.items() if (e := judged.estimate("final", metric))}
        if found:
            rows[LABELS.get(metric, metric)] = found
    svg = Markup(intervals("compare", rows, f"at {k} places, with {next(iter(there.values())).confidence}"))
    return card("Quality", Markup('<div style="max-width: 46rem">{}</div>').format(svg))


def _figures(there: dict[str, Evaluation]) -> Markup:
    metrics = list(dict.fromkeys(key[2] for e in there.values() for key in e.rows if key[:2] == ("final", "all")))
    rows: list[tuple[Cell, ...]] = []
    for metric in metrics:
        cells: list[Cell] = []
        for judged in there.values():
            estimate = judged.estimate("final", metric)
            cells += [estimate.value, _ends(estimate)] if estimate else [None, ""]
        rows.append((LABELS.get(metric, metric), *cells))
    for mark in MARKS:
        values = [judged.value(mark, "ndcg") for judged in there.values()]
        if any(values):
            rows.append((f"NDCG of {mark}", *(cell for value in values for cell in (value, ""))))
    heads = [head for name in there for head in (name, "interval")]
    return card("Figures", table(("", *heads), rows, digits=4))


def _ends(estimate: Estimate) -> str:
    """Empty for a figure of all lists together, which has no interval."""
    return f"{estimate.low:.4f} to {estimate.high:.4f}" if estimate.low < estimate.high else ""


def _segments(there: dict[str, Evaluation]) -> Markup:
    names = list(dict.fromkeys(s for e in there.values() for s in e.segments(of_items=False)))
    rows = [(name.replace("=", ": "), *(e.value("final", "ndcg", name) for e in there.values())) for name in names]
    return card("NDCG by segment", table(("users", *there), rows, digits=4))


def _alike(store: Store, compared: Compared) -> Markup:
    found = {name: store.artifact(r.version, "recommendations") for name, r, p in compared if p is None}
    lists = {name: artifact for name, artifact in found.items() if artifact}
    pairs = [(a, b, overlap(lists[a], lists[b])) for a, b in combinations(lists, 2)]
    if not pairs:
        return Markup("")
    rows = [(f"{a} and {b}", share) for a, b, share in pairs]
    caption = "Mean over users: the share of the first list that is also in the second."
    return card("How alike the lists of everybody are", table(("", "shared"), rows), caption=caption)


def build(shared: Shared, name: str) -> None:
    """The tab."""
    with gr.Row():
        chosen = gr.Dropdown(label="two or three releases", choices=[], multiselect=True, max_choices=MOST,
                             elem_id="compared", scale=3)  # fmt: skip
        knobs = gr.Checkbox(label="and the release above under the tab Knobs' settings", elem_id="with-knobs", scale=1)
    outputs = [gr.HTML(elem_id=f"compare-{part}") for part in ("one", "all")]

    def known(number: int | None) -> Any:
        found = shared.choices()
        first = [n for _, n in found if n != number][:1]
        return gr.Dropdown(choices=found, value=[number, *first] if number is not None else [])

    def sides(asked: Asked, numbers: list[int], with_knobs: bool, pipeline: dict[str, Any] | None) -> Compared:
        found: list[tuple[str, Release, dict[str, Any] | None]] = [
            (f"release {n}", shared.store.release(n), None) for n in numbers
        ]
        if with_knobs:
            found.append(("the knobs' settings", shared.store.release(asked["release"]), pipeline or {}))
        return found

    def fill(asked: Asked, *values: Any) -> tuple[str, str]:
        compared = sides(asked, *values)
        return on_one(compared, shared.opened(asked)[1]), over_all(shared.store, compared)

    shared.release.change(known, shared.release, chosen, show_progress="hidden")
    shared.fills(name, fill, outputs, [chosen, knobs, shared.turned], (chosen.change, knobs.input))
