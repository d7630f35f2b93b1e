"""The page: what is looked at on top, a tab for each way to look."""

from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from explorer.data import Store
from explorer.guard import warn, words
from explorer.nights import Nights
from explorer.people import anyone, choices
from explorer.shared import Asked, Shared
from explorer.tabs import compare, grid, night, recommend, space, try_settings
from explorer.theme import gr

TITLE = "Nightjar explorer"
TABS = {
    "Night": night, "Recommend": recommend, "Compare": compare, "Knobs": try_settings, "Embedding space": space,
    "Grid": grid,
}  # fmt: skip
HEAD = Markup('<div class="nj head"><h2>Nightjar explorer</h2><div class="quiet small">{}</div></div>')


def build(home: Path, nights: Nights) -> gr.Blocks:
    """The app over a home."""
    store = Store(home)
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as blocks:
        with gr.Row(elem_id="head"):
            gr.HTML(str(HEAD.format(home)))
            release = gr.Dropdown(label="release", choices=[], scale=2, elem_id="release")
            user = gr.Dropdown(label="user: pick one, or type an id", choices=[], allow_custom_value=True, scale=2,
                               elem_id="user")  # fmt: skip
            other = gr.Button("Somebody else", elem_id="other")
        shared = Shared(store, nights, release, gr.State(None), gr.State("Night"), gr.State(None))
        with gr.Tabs():
            for name, tab in TABS.items():
                with gr.Tab(name) as opened:
                    tab.build(shared, name)
                opened.select(partial(str, name), None, shared.selected)
        _wire(blocks, shared, user, other)
    return blocks


def _wire(blocks: gr.Blocks, shared: Shared, user: gr.Dropdown, other: gr.Button) -> None:
    blocks.load(partial(newest, shared), None, shared.release)
    shared.release.change(partial(_look_at, shared.store), [shared.release, shared.asked], [user, shared.asked])
    user.change(_ask_as, [user, shared.asked], shared.asked)
    other.click(partial(_somebody, shared.store), shared.asked, user)


def newest(shared: Shared) -> Any:
    """The dropdown of releases, at the newest one."""
    try:
        found = shared.choices()
    except Exception as error:
        warn(words(error))
        found = []
    return gr.Dropdown(choices=found, value=found[0][1] if found else None)


def _look_at(store: Store, number: int | None, asked: Asked | None) -> Any:
    """Another release: the same person stays, if there is one yet."""
    if number is None:
        return gr.Dropdown(choices=[], value=None), None
    try:
        release = store.release(number)
    except Exception as error:
        warn(words(error))
        return gr.skip(), gr.skip()
    person = {n: v for n, v in (asked or {}).items() if n != "release"} or {"user": anyone(release, seed=0)}
    return gr.Dropdown(choices=choices(release), value=person.get("user") or None), {"release": number, **person}


def _ask_as(name: str | None, asked: Asked | None) -> Any:
    return {"release": asked["release"], "user": str(name).strip()} if asked and name else gr.skip()


def _somebody(store: Store, asked: Asked | None) -> Any:
    return anyone(store.release(asked["release"])) if asked else gr.skip()
