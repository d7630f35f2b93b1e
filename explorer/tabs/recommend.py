"""The tab about one person: what they watched, what they get, how every stage scored it, why others were left out."""

from collections import Counter
from typing import Any

from markupsafe import Markup

from explorer.data import Release
from explorer.pages import Cell, bar, card, chips, columns, heading, page, table, titled
from explorer.people import about, attributes_of, genres_line, moment, values
from explorer.requests import ATTRIBUTES, LISTED, Answer, Question, ask, fate, places
from explorer.shared import Asked, Shared
from explorer.theme import gr

MOST_SHOWN = 150
"""Candidates outside of the list that are shown; all are counted."""
MOST_WATCHED = 30
_STAGES = {
    "retrieval": "fused retrieval", "click_probability": "click", "watch_seconds": "watch s",
    "completion_probability": "completion", "score": "relevance",
}  # fmt: skip


def show(release: Release, question: Question) -> tuple[str, str, str]:
    """The person and the list; the scores by stage; what was left out."""
    answer = ask(release, question, candidates=True)
    return page(*_person(release, question, answer)), page(_stages(release, answer)), page(_left_out(release, answer))


def _person(release: Release, question: Question, answer: Answer) -> list[Markup]:
    known = about(release, question.user) or [f"{n.replace('_', ' ')} {v}" for n, v in question.attributes.items()]
    title = f"{question.who()[:1].upper()}{question.who()[1:]}, release {release.number}"
    note = Markup('<p class="caption">{}</p>').format(answer.note) if answer.note else Markup("")
    return [heading(title), note, chips(known), Markup('<div style="height: 0.7rem"></div>'),
            columns(_history(release, question, answer), _list(release, answer), uneven=True)]  # fmt: skip


def _history(release: Release, question: Question, answer: Answer) -> Markup:
    user_id = release.users.get(question.user)
    rows: list[tuple[Cell, ...]]
    if user_id is None:
        rows = [("", titled(release.title(i), genres_line(release, i)), None) for i in reversed(answer.history)]
    else:
        watched = release.history(user_id)[:MOST_WATCHED]
        rows = [(moment(w.time_s), titled(release.title(w.item_id), genres_line(release, w.item_id)), bar(w.share))
                for w in watched]  # fmt: skip
    names = ("when", "title and genres", "watched")
    number = len(answer.history)
    caption = f"{number} liked in the window, newest first" + (f"; the last {len(rows)}" * (number > len(rows)))
    body = table(names, rows) if rows else Markup('<p class="quiet">No history.</p>')
    return card("History", body, caption=caption + ".")


def _list(release: Release, answer: Answer) -> Markup:
    rows = [
        (
            row["rank"],
            titled(release.title(row["item_id"]), genres_line(release, row["item_id"])),
            Markup("{} {:.3f}").format(bar(row["score"]), row["score"]),
            chips([row["source"]], first=True) + (chips(["explored"]) if row.get("explored") else ""),
            row["reason"],
        )
        for row in answer.rows
    ]
    caption = "Relevance is 1 for this person's best candidate. Order also weighs variety, caps and freshness."
    return card("Recommended", table(("", "title and genres", "relevance", "from", "why"), rows), caption=caption)


def _stages(release: Release, answer: Answer) -> Markup:
    """Place in every source, and the scores that follow."""
    first = answer.rows[0] if answer.rows else {}
    sources = [name for name in first if name.startswith("rank_in_")]
    scores = [name for name in _STAGES if name in first]
    extra = [n for n in first if n not in {*_STAGES, *sources, *_ROW} and isinstance(first[n], float)]
    scores = [*(n for n in scores if n != "score"), *extra, "score"]
    named = [_STAGES.get(n, n.removesuffix("_score").replace("_", " ")) for n in scores]
    names = ("", "title", *(s.removeprefix("rank_in_") for s in sources), *named)
    rows = [
        (row["rank"], titled(release.title(row["item_id"])), *(row[s] or None for s in sources),
         *(row[n] for n in scores))
        for row in answer.rows
    ]  # fmt: skip
    caption = (
        "Place of each item in what every source proposes after the filters (– where it does not), what the fusion of "
        "these places gives, what the models expect, and the relevance made of it."
    )
    return card("Scores by stage", table(names, rows, digits=3), caption=caption)


_ROW = ("user_id", "rank", "item_id", "source", "reason", "explored")


def _left_out(release: Release, answer: Answer) -> Markup:
    if not answer.candidates:
        return card("Why others are not in the list", Markup('<p class="quiet">{}</p>').format(answer.note))
    counted = Counter(fate(c) for c in answer.candidates)
    total = len(answer.candidates)
    summary = table(("what became of it", "candidates", ""), [(w, n, bar(n / total)) for w, n in counted.most_common()])
    others = [c for c in answer.candidates if fate(c) != LISTED]
    # Those that a filter removed are what people ask about, and the best of the others.
    others.sort(key=lambda c: (c["relevance"] is None, -(c["relevance"] or 0), min(_proposed(c).values(), default=0)))
    near = [c for c in others if c["relevance"] is not None][: MOST_SHOWN // 3]
    gone = [c for c in others if c["relevance"] is None]
    shown = [*gone[: MOST_SHOWN - len(near)], *near]
    rows = [
        (fate(c), titled(release.title(c["item_id"]), genres_line(release, c["item_id"])), c["retrieval"],
         c["relevance"], ", ".join(f"{source} {place}" for source, place in _proposed(c).items()))
        for c in shown
    ]  # fmt: skip
    names = ("why not", "title and genres", "retrieval", "relevance", "proposed by (place)")
    return card(
        "Why others are not in the list",
        columns(card("", summary), card("", table(names, rows, tall=True)), uneven=True),
        caption=f"{total:,} items were proposed; {len(rows)} of the {len(others):,} that are not in the list:",
    )


def _proposed(candidate: dict[str, Any]) -> dict[str, int]:
    return places(candidate, "place_in_")


def build(shared: Shared, name: str) -> None:
    """The tab."""
    with gr.Accordion("Somebody new: attributes and a history", open=False, elem_id="somebody-new"):
        with gr.Row():
            age = gr.Number(label="age, 0 if not known", precision=0, value=0, minimum=0, maximum=120, min_width=90)
            fields = [gr.Dropdown(label=a.replace("_", " "), choices=[], min_width=110) for a in ATTRIBUTES[1:]]
        history = gr.Textbox(label="history, oldest first: ids or titles of items, with commas between", lines=2,
                             elem_id="history")  # fmt: skip
        button = gr.Button("Recommend to them", variant="primary", elem_id="ask-new")
    outputs = [gr.HTML(elem_id=f"recommend-{part}") for part in ("person", "stages", "left-out")]

    def filled(number: int | None) -> Any:
        release = shared.store.release(number) if number is not None else None
        return [gr.Dropdown(choices=["", *values(release, a)] if release else []) for a in ATTRIBUTES[1:]]

    def asked_new(asked: Asked | None, text: str, *given: Any) -> Any:
        if asked is None:
            return gr.skip()
        return {"release": asked["release"], "history": text, "attributes": attributes_of(ATTRIBUTES, given)}

    shared.release.change(filled, shared.release, fields, show_progress="hidden")
    button.click(asked_new, [shared.asked, history, age, *fields], shared.asked)
    shared.fills(name, lambda asked: show(*shared.opened(asked)), outputs)
