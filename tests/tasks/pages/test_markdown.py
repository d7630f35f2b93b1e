"""What people named stands in Markdown as words: in Prefect's artifacts, in the model card, in the registry."""

import re
from dataclasses import replace

import pytest

from tasks.pages.data import ReportData, Tile
from tasks.pages.markdown import markdown, prose
from tests.flows.test_hostile_words import HOSTILE

LIVE = re.compile(r"<[a-z!/]|(?<!\\)\]\(|(?<!\\)!\[(?!NDCG)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
"""HTML, a link, a picture, a control character."""

WORDS = (
    HOSTILE,
    "<script>alert(1)</script>",
    "[here](javascript:alert(1))",
    "![pixel](http://evil.example/p.png)",
    "`<img src=x>` and ` <img>",
    "``<img>`` ` <b> ``",
    "first\n\n# second\n\n<b>",
    "<!-- ", "</textarea><svg/onload=x>",
)  # fmt: skip


@pytest.mark.parametrize("text", WORDS)
def test_words_stay_words_and_stay_in_their_line(text):
    said = prose(text)
    assert not LIVE.search(said) and "\n" not in said
    assert not re.search(r"(?<!\\)\|", said), "a table keeps its columns"


def test_code_stays_code():
    assert prose("accept it: `nightjar quarantine release ID`, NDCG@10 *better*") == (
        "accept it: `nightjar quarantine release ID`, NDCG@10 *better*"
    )


@pytest.mark.parametrize("text", WORDS)
def test_the_head_of_a_report_has_them_as_words(text):
    tile = Tile(text, text, text)
    data = ReportData(title="Night of", date="2026-03-01", verdict=text, tiles=(tile,), sections=(), warnings=(text,))
    said = markdown(replace(data, substitutes=(text,)), {"bundle": "/a/folder"})
    assert not LIVE.search(said)
    assert len([line for line in said.splitlines() if line.startswith("#")]) == 1
