"""Every substitute that is named anywhere has a sentence, and every sentence is named."""

import ast
from pathlib import Path

import pytest

from expectations.substitutes import SENTENCES, Substitute

ROOT = Path(__file__).resolve().parents[2]


def test_names_in_the_code_are_those_with_a_sentence():
    texts = {
        node.value
        for folder in ("tasks", "models")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(SENTENCES) <= texts


@pytest.mark.parametrize("name", SENTENCES)
def test_a_sentence_has_a_place_for_each_figure(name):
    figures = {"count": 3, "total": 9, "dataset": "items", "dated": "uploaded_at", "num_negatives": 4}
    sentence = Substitute(name, figures).sentence
    assert sentence.endswith(".") and "{" not in sentence
