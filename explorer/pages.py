"""Small pieces of page: tables, tiles, chips and messages as HTML, everything from outside escaped."""

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup, escape

Cell = str | int | float | Markup | None


def page(*parts: Markup | str) -> str:
    """Parts under each other, in the explorer's style."""
    return str(Markup('<div class="nj">{}</div>').format(Markup("").join(parts)))


def heading(title: str, lead: str = "") -> Markup:
    """A title with a sentence that says what to see."""
    return Markup("<h2>{}</h2>").format(title) + (Markup('<p class="lead">{}</p>').format(lead) if lead else "")


def card(title: str, *parts: Markup | str, caption: str = "") -> Markup:
    """A box with a title."""
    head = Markup("<h3>{}</h3>").format(title) if title else Markup("")
    told = Markup('<p class="caption">{}</p>').format(caption) if caption else Markup("")
    return Markup('<div class="card">{}{}{}</div>').format(head, told, Markup("").join(parts))


def columns(*cards: Markup, uneven: bool = False) -> Markup:
    """Cards beside each other where there is room; `uneven` gives the second of two the larger part."""
    kind = "columns uneven" if uneven else "columns"
    return Markup('<div class="{}">{}</div>').format(kind, Markup("").join(cards))


def table(names: Sequence[str], rows: Iterable[Sequence[Cell]], digits: int = 3, tall: bool = False) -> Markup:
    """Rows under names; numbers stand to the right. A `tall` one scrolls by itself."""
    listed = [tuple(row) for row in rows]
    numeric = [any(isinstance(row[n], int | float) for row in listed) for n in range(len(names))]
    kinds = ["number" if is_number else "" for is_number in numeric]
    cell = Markup('<t{} class="{}">{}</t{}>')
    head = Markup("").join(cell.format("h", kind, name, "h") for name, kind in zip(names, kinds, strict=True))
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(cell.format("d", k, formatted(v, digits), "d") for v, k in zip(row, kinds, strict=True))
        )
        for row in listed
    )
    box = Markup('<div class="scroll{}"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>')
    return box.format(" tall" if tall else "", head, body)


def formatted(value: Cell, digits: int = 3) -> Markup:
    """A cell: whole numbers with separators, others with `digits` decimals, an en dash for what is not there."""
    if value is None or value != value:  # NaN
        return Markup("–")
    if isinstance(value, bool):
        return Markup("yes") if value else Markup("")
    if isinstance(value, int):
        return Markup(f"{value:,}")
    return Markup(f"{value:.{digits}f}") if isinstance(value, float) else escape(value)


def tiles(figures: Mapping[str, tuple[str, str]]) -> Markup:
    """Headline figures: label -> figure and what to compare it with."""
    one = Markup('<div class="tile"><dt>{}</dt><dd>{}<small>{}</small></dd></div>')
    return Markup('<dl class="tiles">{}</dl>').format(Markup("").join(one.format(k, *v) for k, v in figures.items()))


def chips(words: Iterable[str], first: bool = False) -> Markup:
    """Short words, each in a frame."""
    one = Markup('<span class="chip{}">{}</span>')
    return Markup("").join(one.format(" first" if first else "", word) for word in words)


def bar(share: float) -> Markup:
    """A share of 1 as a bar."""
    return Markup('<span class="bar"><i style="width: {}%"></i></span>').format(round(100 * min(max(share, 0), 1), 1))


def titled(title: str, below: str | Markup = "") -> Markup:
    """A title with a quieter line below it."""
    told = Markup('<div class="quiet small">{}</div>').format(below) if below else ""
    return Markup('<span class="title">{}</span>{}').format(title, told)


def message(text: str) -> Markup:
    """One clear sentence in place of an answer."""
    return Markup('<div class="message">{}</div>').format(text)


def welcome(title: str, text: str) -> Markup:
    """What an empty page says."""
    return Markup('<div class="card welcome"><h2>{}</h2><p class="lead" style="margin: 0 auto">{}</p></div>').format(
        title, text
    )
