"""Every test that `docs/reliability.md` names is there, and is of the tier that the page says."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`( \(\*soak\*\))?", (ROOT / "docs/reliability.md").read_text())


def test_the_tests_are_there():
    assert len(NAMED) > 20
    for path, name, soak in NAMED:
        text = (ROOT / path).read_text()
        tree = ast.parse(text)
        (test,) = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
        whole_file = re.search(r"^pytestmark = .*pytest\.mark\.soak", text, re.MULTILINE)
        is_soak = bool(whole_file) or "pytest.mark.soak" in map(ast.unparse, test.decorator_list)
        assert is_soak == bool(soak), f"{path}::{name}"
