"""How the explorer looks: the report's own colours and fonts, on a theme that fetches nothing from outside."""

import os
import re
from pathlib import Path

from tasks.pages.page import TEMPLATE

# Read when gradio is imported: no usage figures leave, no version is asked for.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")


def theme() -> gr.themes.Base:
    """Fonts of the system only: gradio's own theme would ask a font server."""
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="stone",
        radius_size="sm",
        font=[gr.themes.Font(name) for name in SANS],
        font_mono=[gr.themes.Font(name) for name in MONO],
    ).set(
        body_background_fill="#f6f5f2",
        body_background_fill_dark="#151618",
        block_background_fill_dark="#1d1f22",
        button_primary_background_fill="#1f5fa8",
        button_primary_background_fill_hover="#184c87",
        button_primary_background_fill_dark="#2f6fb8",
        slider_color="#1f5fa8",
    )


def css() -> str:
    """The page's style sheet: the report's palette for light and dark, then the explorer's own rules."""
    light, dark = (block for block in re.findall(r":root \{(.*?)\}", TEMPLATE.read_text(), re.DOTALL))
    palettes = f":root {{{light}}}\n.dark {{{dark}}}\n"
    return palettes + Path(__file__).with_name("style.css").read_text()
