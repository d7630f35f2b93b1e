"""The head of a report as Markdown, for pages that show Markdown: verdict, figures, and plots as pictures."""

import base64
import re
from collections.abc import Mapping

from tasks.pages.data import Figure, ReportData
from tasks.pages.page import TEMPLATE

PICTURED = "quality"
"""The section whose plots are shown; those of all sections would be a quarter of a megabyte a night."""

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def markdown(data: ReportData, links: Mapping[str, str]) -> str:
    """The page.

    Args:
        links: words -> where to look: an address becomes a link, anything else is shown as it is.
    """
    where = [f"| {words} | {_shown(place)} |" for words, place in links.items()]
    tiles = [f"| {prose(t.label)} | **{prose(t.value)}** | {prose(t.note)} |" for t in data.tiles]
    plots = [picture(f) for section in data.sections if section.id == PICTURED for f in section.figures]
    parts = [
        f"# {prose(data.title)} {data.date}",
        prose(data.verdict),
        *(f"> {prose(text)}" for text in (*data.warnings, *data.substitutes)),
        "\n".join(["| figure | | |", "|---|---:|---|", *tiles]),
        "\n".join(["| look at | |", "|---|---|", *where]),
        *plots,
    ]
    return "\n\n".join(parts) + "\n"


def prose(text: str) -> str:
    """Words, perhaps other people's, in a line of Markdown: no link, picture, table or HTML comes of them.

    Code between backticks stays code.
    """
    line = _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), " ".join(text.split()))
    escaped = re.sub(r"[\\\[\]|]", r"\\\g<0>", line).replace("<", "&lt;")
    return escaped if escaped.count("`") % 2 == 0 else escaped.replace("`", "\\`")


def _shown(place: str) -> str:
    return f"[{place}]({place})" if place.startswith(("http://", "https://")) else f"`{place}`"


def picture(figure: Figure) -> str:
    """A plot as an image in the text: outside the report's page, a plot must bring the page's colours along."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {_palette()} '
    picture = figure.svg.replace("<svg ", head, 1)
    encoded = base64.b64encode(picture.encode()).decode()
    title, caption = prose(figure.title), prose(figure.caption)
    return f"### {title}\n\n![{title}](data:image/svg+xml;base64,{encoded})\n\n{caption}"


def _palette() -> str:
    """The page's own light colours, as an attribute of the picture."""
    block = TEMPLATE.read_text().partition(":root {")[2].partition("}")[0]
    colours = re.findall(r"(--[a-z-]+): (#[0-9a-f]+)", block)
    values = "; ".join(f"{name}: {value}" for name, value in colours)
    return f'style="{values}; --sans: sans-serif; background: var(--card)"'
