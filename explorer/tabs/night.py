"""The tab that makes data and trains: settings, a night under way stage by stage, its log, how it ended."""

from functools import partial
from typing import Any, get_args, get_type_hints

from markupsafe import Markup

from expectations.errors import UserError
from explorer.guard import warn, words
from explorer.nights import DATA, ROOT, NightProgress, Nights, tail
from explorer.pages import bar, card, heading, message, page, table, tiles, welcome
from explorer.shared import Shared
from explorer.theme import gr
from flows.config import NightlyConfig, load_config
from tasks.engine.stage import plain

MARKS = {"waiting": "·", "running": "▸", "ran": "✓", "cached": "=", "failed": "✗", "not run": "–"}
LABELS = {
    "world.num_users": "users of made data", "world.num_items": "items of made data", "towers.dim": "dimensions",
    "pipeline.k": "K, length of a list",
}  # fmt: skip
"""Settings with a field of their own; all others are written as section.key=value."""


def configs() -> list[str]:
    """Run configs of this checkout that a night can be run from."""
    found = []
    for path in sorted((ROOT / "deployments").glob("*.yaml")):
        try:
            load_config(path)
        except UserError:
            continue
        found.append(str(path.relative_to(ROOT)))
    return found


def systems() -> list[str]:
    """Systems that a night can build; none where there is only one."""
    kinds = get_type_hints(NightlyConfig).get("system")
    return [str(name) for name in get_args(kinds)]


def settings_of(config: str) -> dict[str, int]:
    """What a config says of the settings that have a field of their own."""
    settings = plain(load_config(ROOT / config))
    return {key: settings[key.split(".")[0]][key.split(".")[1]] for key in LABELS}


def overrides_of(own: dict[str, Any], values: dict[str, Any], more: str) -> tuple[str, ...]:
    """Fields that say other than the config, and lines of section.key=value, as the command line takes them."""
    given = [f"{key}={v}" for key, v in values.items() if v and v != own.get(key)]
    return (*given, *(line.strip() for line in more.splitlines() if line.strip()))


def begin(
    nights: Nights, config: str | None, system: str, numbers: tuple[Any, ...], more: str, only_data: bool
) -> None:
    """Check the settings and start.

    Args:
        numbers: in the order of LABELS.

    Raises:
        UserError: settings that no night can have, or one is under way.
    """
    if not config:
        raise UserError("choose the config that the night starts from")
    values = {"system": system, **dict(zip(LABELS, map(int, (n or 0 for n in numbers)), strict=True))}
    overrides = overrides_of(settings_of(config), values, more)
    settings = load_config(ROOT / config, overrides)
    title = "Making data" if only_data else "A night, from data to release"
    nights.start(title, settings, str(ROOT / config), overrides, DATA if only_data else ())


def show(nights: Nights, num_releases: int) -> str:
    """How the night at hand stands, or what there is to do."""
    progress = nights.look()
    if progress is None:
        if num_releases:
            text = "Choose settings and start one; what stands in the lake already is not made again."
            return page(card("No night under way", Markup('<p class="quiet">{}</p>').format(text)))
        return page(welcome("Nothing here yet", "This home is empty. Make data and train: a demo night takes a minute "
                            "or two, and ends in a first release to explore."))  # fmt: skip
    return page(heading(_title(progress), _lead(progress)), *_parts(progress))


def _title(progress: NightProgress) -> str:
    return f"{progress.title}: {progress.state}"


def _lead(progress: NightProgress) -> str:
    done = sum(s.state in ("ran", "cached") for s in progress.stages)
    return f"{done} of {len(progress.stages)} stages, {progress.seconds:.0f} s." if progress.stages else (
        f"Starting, {progress.seconds:.0f} s."
    )  # fmt: skip


def _parts(progress: NightProgress) -> list[Markup]:
    parts = []
    if progress.error:
        parts += [message(progress.error), Markup('<div style="height: 0.7rem"></div>')]
    if progress.state == "cancelled":
        parts += [message("Cancelled. What was published stands, the same settings go on from there.")]
    if progress.state == "succeeded":
        made = {"release": (str(progress.version), progress.decision)} if progress.version else {
            "data": ("made", "train on it with the other button: nothing is made twice")
        }  # fmt: skip
        parts.append(tiles(made))
    if progress.stages:
        parts.append(card("Stages", _table(progress)))
    lines = tail(progress)
    if lines:
        parts.append(card("Log", Markup('<pre class="log">{}</pre>').format(lines), caption=progress.log))
    return parts


def _table(progress: NightProgress) -> Markup:
    rows = [
        (
            Markup('<span class="state-{}">{} {}</span>').format(s.state.split()[0], MARKS[s.state], s.name),
            s.state,
            f"{s.seconds:.1f}" if s.seconds else "",
            f"{s.rows:,}" if s.rows else "",
            Markup("{} {}/{} {}").format(bar(s.done / s.total), s.done, s.total, s.what) if s.total else s.what,
        )
        for s in progress.stages
    ]
    return table(("stage", "state", "seconds", "rows", ""), rows)


def build(shared: Shared, name: str) -> None:
    """The tab: fields, three buttons, and the night under way, looked at once a second while there is one."""
    kinds, found = systems(), configs()
    chosen = next((name for name in found if name.endswith("demo.yaml")), found[0] if found else None)
    own = settings_of(chosen) if chosen else dict.fromkeys(LABELS, 0)
    with gr.Row():
        config = gr.Dropdown(label="start from", choices=found, value=chosen, min_width=260)
        system = gr.Dropdown(label="system", choices=["", *kinds], value="", visible=bool(kinds), min_width=110)
        fields = [gr.Number(label=t, value=own[k], precision=0, minimum=1, min_width=120) for k, t in LABELS.items()]
    more = gr.Textbox(label="more settings, one section.key=value a line", lines=1, max_lines=6, elem_id="settings")
    with gr.Row():
        train = gr.Button("Make data and train", variant="primary", elem_id="train")
        data = gr.Button("Make data only", elem_id="make-data")
        cancel = gr.Button("Cancel", elem_id="cancel")
    output = gr.HTML(page(), elem_id="night")
    timer, before = gr.Timer(1.0), gr.State("")

    def start(only_data: bool, config: str | None, system: str, more: str, *numbers: Any) -> None:
        try:
            begin(shared.nights, config, system, numbers, more, only_data)
        except Exception as error:
            warn(words(error).replace(f"{ROOT}/", ""))

    def look(seen: str) -> Any:
        progress = shared.nights.look()
        state = progress.state if progress else "none"
        if state == seen != "running":
            return gr.skip(), seen, gr.skip()
        told = show(shared.nights, len(shared.store.versions()))
        if seen != "running" or state == "running":
            return told, state, gr.skip()
        releases = shared.choices()
        newest: dict[str, Any] = {"value": releases[0][1]} if state == "succeeded" and releases else {}
        return told, state, gr.Dropdown(choices=releases, **newest)

    inputs = [config, system, more, *fields]
    config.input(lambda name: list(settings_of(name).values()), config, fields, show_progress="hidden")
    train.click(partial(start, False), inputs, None)
    data.click(partial(start, True), inputs, None)
    cancel.click(shared.nights.cancel, None, None)
    timer.tick(look, before, [output, before, shared.release], show_progress="hidden")
