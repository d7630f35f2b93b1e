"""The tab about the embedding space: items in a plane by genre, nearest neighbours, groups of users."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from markupsafe import Markup

from expectations.errors import UserError
from explorer.data import TOWERS, Release
from explorer.guard import warn
from explorer.pages import bar, card, columns, heading, message, page, table, titled
from explorer.people import genres_line
from explorer.plots import PALETTE, Point, points
from explorer.projection import items_in_plane, nearest, user_clusters
from explorer.requests import known_items
from explorer.shared import Asked, Shared
from explorer.theme import gr

METHODS = ("PCA", "t-SNE")
HINT = page(card("Nearest neighbours", Markup('<p class="quiet">Click a point, or name an item above.</p>')))
MOST_USERS_DRAWN = 2000
_NO_GENRE = "no genre"


def show(release: Release, method: str, cache: Path, picked: int | None = None, model: str = TOWERS) -> str:
    """Items in a plane, coloured by primary genre; a picked one and its neighbours stand out."""
    ids, places = items_in_plane(release, method, cache, model)
    near = {picked, *nearest(release, picked, model)} if picked is not None else set()
    primary = {i: (release.genres.get(i) or [_NO_GENRE])[0] for i in ids.tolist()}
    groups = [genre for genre, _ in Counter(primary.values()).most_common()]
    drawn = [
        Point(x, y, primary[i], f"{release.title(i)} ({genres_line(release, i)})", i, i in near)
        for i, (x, y) in zip(ids.tolist(), places.tolist(), strict=True)
    ]
    drawn.sort(key=lambda p: p.large)
    shown = (
        f"{len(drawn):,} of {len(release.items):,} items"
        if len(drawn) < len(release.items)
        else f"{len(drawn):,} items"
    )
    dim = release.vectors[model].shape[1]
    caption = f"{shown} of release {release.number}, by their vectors of {dim} numbers, of the {model}. " + (
        "t-SNE keeps neighbours together; distances between groups mean nothing." if method == "t-SNE" else
        "The two directions in which the vectors differ most."
    ) + " Rest on a point to see its title, click it for its neighbours."  # fmt: skip
    return page(card(f"Items by {method}", points(drawn, groups), caption=caption))


def neighbours(release: Release, text: str, model: str = TOWERS) -> tuple[int, str]:
    """The item that was typed in, and a page of those nearest to it.

    Raises:
        UserError: there is no such item.
    """
    found = known_items(release, text)
    if len(found) != 1:
        raise UserError("name one item, by its id or its title")
    return found[0], near(release, found[0], model)


def near(release: Release, item_id: int, model: str = TOWERS) -> str:
    """The items nearest to one, by their vectors."""
    own = set(release.genres.get(item_id, []))
    rows = [
        (n, release.item_names[i], titled(release.title(i), genres_line(release, i)),
         Markup("{} {:.3f}").format(bar(cosine), cosine), len(own & set(release.genres.get(i, []))))
        for n, (i, cosine) in enumerate(nearest(release, item_id, model).items(), 1)
    ]  # fmt: skip
    title = f"Nearest to {release.title(item_id)}"
    caption = f"{release.item_names[item_id]}, {genres_line(release, item_id)}. By cosine in the {model}."
    return page(card(title, table(("", "id", "title and genres", "cosine", "genres in common"), rows), caption=caption))


def clusters(release: Release, number: int) -> str:
    """Groups of users: how many, what they watch, who they are."""
    found = user_clusters(release, number)
    bundle = release.bundle
    genres, ages = bundle.genres, bundle.users["age"].cast(pa.float64()).to_numpy()[found.rows]
    everyone = bundle.genre_shares[found.rows].mean(axis=0)
    names = [f"group {n + 1}" for n in range(int(found.groups.max(initial=0)) + 1)]
    watched = bundle.num_watched[found.rows]
    rows = []
    for n, name in enumerate(names):
        mine = found.groups == n
        shares = bundle.genre_shares[found.rows[mine]].mean(axis=0)
        top = ", ".join(genres[g] for g in np.argsort(-shares, kind="stable")[:3] if shares[g] > 0)
        above = np.argsort(-(shares / np.maximum(everyone, 1e-9)) * (shares > 0.02), kind="stable")[:2]
        more = ", ".join(f"{genres[g]} ×{shares[g] / everyone[g]:.1f}" for g in above if shares[g] > 0.02)
        colour = PALETTE[n] if n < len(PALETTE) else "var(--muted)"
        rows.append((Markup('<span class="named"><i style="background: {}"></i>{}</span>').format(colour, name),
                     int(mine.sum()), bar(float(mine.mean())), top, more, float(watched[mine].mean()),
                     float(np.nanmean(ages[mine])) if np.isfinite(ages[mine]).any() else None))  # fmt: skip
    heads = ("", "users", "", "most watched genres", "more than others do", "watched, mean", "age, mean")
    step = max(1, len(found.rows) // MOST_USERS_DRAWN)
    drawn = [
        Point(x, y, names[g], f"{names[g]}, {w} watched")
        for (x, y), g, w in zip(found.places[::step].tolist(), found.groups[::step], watched[::step], strict=True)
    ]
    return page(
        heading("Users by their vectors", "Groups by k-means on what the user tower makes of a history; drawn by PCA."),
        columns(card("", points(drawn, names)), card("", table(heads, rows, digits=1)), uneven=True),
    )


PICK = """element.addEventListener('click', event => {
    const point = event.target.closest('circle');
    if (point) trigger('click', {id: Number(point.dataset.id)});
});"""
"""A click on a point tells its item."""


def build(shared: Shared, name: str) -> None:
    """The tab."""
    with gr.Row():
        model = gr.Radio([TOWERS], value=TOWERS, label="vectors of the", elem_id="vectors")
        method = gr.Radio(list(METHODS), value=METHODS[0], label="in two dimensions by", elem_id="method")
        item = gr.Textbox(label="an item: id or title", elem_id="item", scale=2)
        look = gr.Button("Nearest neighbours", elem_id="neighbours", scale=0, min_width=220)
    with gr.Row():
        plot = gr.HTML(elem_id="space", js_on_load=PICK)
        close = gr.HTML(HINT, elem_id="nearest")
    number = gr.Slider(2, len(PALETTE), value=6, step=1, label="groups of users", elem_id="groups")
    groups = gr.HTML(elem_id="clusters")
    picked = gr.State(None)
    cache = shared.store.home / "cache" / "explorer"

    def models(number: int | None) -> Any:
        found = list(shared.store.release(number).vectors) if number is not None else [TOWERS]
        return gr.Radio(choices=found, value=TOWERS)

    def looked_at(asked: Asked, of: str) -> tuple[Release, str]:
        """The release and the model, which another release may not have: its own are offered a moment later."""
        release = shared.store.release(asked["release"])
        return release, of if of in release.vectors else TOWERS

    def fill(asked: Asked, of: str, how: str, item_id: int | None) -> str:
        release, known = looked_at(asked, of)
        return show(release, how, cache, item_id if item_id in release.item_names else None, known)

    def of_text(asked: Asked | None, of: str, text: str) -> Any:
        if not asked:
            return None, ""
        release, known = looked_at(asked, of)
        return neighbours(release, text, known)

    def of_point(asked: Asked | None, of: str, event: gr.EventData) -> Any:
        found = int(event.id) if asked else -1
        if not asked or found < 0:
            return gr.skip()
        release, known = looked_at(asked, of)
        return found, near(release, found, known)

    def told(asked: Asked | None, of: str, text: str) -> Any:
        try:
            return of_text(asked, of, text)
        except UserError as error:
            warn(str(error))
            return gr.skip(), page(message(str(error)))

    shared.fills(name, fill, [plot], [model, method, picked], (model.change, method.input, picked.change))
    shared.fills(name, lambda asked, n: clusters(shared.store.release(asked["release"]), int(n)), [groups], [number],
                 (number.release,), empty="")  # fmt: skip
    gr.on([look.click, item.submit], told, [shared.asked, model, item], [picked, close])
    plot.click(of_point, [shared.asked, model], [picked, close])
    gr.on([shared.release.change, model.input], lambda: (None, HINT), None, [picked, close], show_progress="hidden")
    shared.release.change(models, shared.release, model, show_progress="hidden")
