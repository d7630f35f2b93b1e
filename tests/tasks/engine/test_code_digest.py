"""Code digests: editing what a stage reaches changes its digest, editing anything else does not."""

import ast
import os
import time
from pathlib import Path

import pytest

from tasks.engine import code_digest as code
from tasks.engine.code_digest import _load, reached

FILES = {
    "tasks/stages.py": '''
from models.losses import softmax
from models import unused
LIMIT = 3
if TYPE_CHECKING:
    from models.unused import A
def train(out, other):
    """Train."""
    from models.box import Lid
    from models.lazy import Late
    from models.towers import Tower
    if not other:
        raise UserError(f"no {other}; {why(other)}")
    assert LIMIT, "a limit"
    return softmax(Tower(), LIMIT, Lid, Late)
def other(out):
    return 2
def why(other):
    return "give one"
def evaluate(out, dataset):
    from expectations.datasets import DATASETS, WATCHES, Dataset
    from expectations import datasets
    return WATCHES.schema, DATASETS["items"].schema, DATASETS[dataset], [other for other in other(out)]
''',
    "models/losses.py": (
        "import math\ndef softmax(x, n):\n    return helper(x)\n"
        "def helper(x):\n    return x\ndef hinge(x):\n    return 0\n"
    ),
    "models/towers.py": 'class Tower:\n    width: int = 3\n    """Units."""\n',
    "models/unused.py": "A = 1\n",
    "models/box/__init__.py": "from .lid import Lid\n",
    "models/box/lid.py": "from .hinge import SIZE\nclass Lid:\n    size = SIZE\n\ndef other():\n    return 1\n",
    "models/box/hinge.py": "SIZE = 1\n",
    "models/lazy/__init__.py": "def __getattr__(name):\n    from .late import Late\n    return Late\n",
    "models/lazy/late.py": "class Late:\n    size = 1\n",
    "models/__init__.py": "",
    "expectations/__init__.py": "",
    "expectations/datasets.py": "class Dataset: ...\nWATCHES = Dataset()\nUSERS = Dataset()\nDATASETS = {}\n",
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def _digests(root: Path) -> dict[str, str]:
    _load.cache_clear()
    return reached("tasks.stages", "train", root).digests


def _edit(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


def test_reaches_its_own_file_and_what_it_imports_inside_functions_too(house):
    box = {"models/box/lid.py", "models/box/hinge.py", "models/lazy/__init__.py", "models/lazy/late.py"}
    assert set(_digests(house)) == {"tasks/stages.py", "models/losses.py", "models/towers.py"} | box


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("models/losses.py", "return helper(x)", "return helper(x) + 1"),
        ("models/losses.py", "    return x\n", "    return -x\n"),
        ("models/towers.py", "int = 3", "int = 4"),
        ("models/box/lid.py", "size = SIZE", "size = SIZE + 1"),
        ("models/box/hinge.py", "SIZE = 1", "SIZE = 2"),
        ("models/lazy/late.py", "size = 1", "size = 2"),
        ("tasks/stages.py", "LIMIT = 3", "LIMIT = 4"),
    ],
)
def test_an_edit_it_reaches_changes_that_files_digest_and_no_other(house, name, old, new):
    before = _digests(house)
    _edit(house, name, old, new)
    after = _digests(house)
    assert {f for f in before if before[f] != after[f]} == {name}


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("tasks/stages.py", '"""Train."""', '"""Train, in other words."""'),
        ("models/towers.py", '"""Units."""', '"""Neurons."""'),
        ("models/losses.py", "def hinge(x):\n    return 0", "def hinge(x):\n    return 1"),
        ("models/losses.py", "    return helper(x)", "    # why\n\n    return helper( x )"),
        ("tasks/stages.py", "return 2", "return 3"),
        ("tasks/stages.py", "no {other};", "there is no {other};"),
        ("tasks/stages.py", "give one", "give two"),
        ("tasks/stages.py", '"a limit"', '"some limit"'),
        ("tasks/stages.py", "from models.unused import A\n", "from models.unused import A, B\n"),
        ("models/unused.py", "A = 1", "A = 2"),
        ("models/box/lid.py", "return 1", "return 2"),
    ],
)
def test_docstrings_comments_layout_and_strangers_do_not_matter(house, name, old, new):
    before = _digests(house)
    _edit(house, name, old, new)
    assert _digests(house) == before


def test_a_name_of_a_parameter_is_no_name_of_the_module(house):
    """`train` has a parameter `other`; the function of that name is another's, and `evaluate` calls it."""
    of_train, of_evaluate = _digests(house), reached("tasks.stages", "evaluate", house)
    _edit(house, "tasks/stages.py", "return 2", "return 3")
    assert _digests(house) == of_train
    assert reached("tasks.stages", "evaluate", house) != of_evaluate


def test_datasets_are_told_by_name_and_their_declarations_are_no_code(house):
    _load.cache_clear()
    found = reached("tasks.stages", "evaluate", house)
    assert found.declared >= {"WATCHES", "items"} and "USERS" not in found.declared
    _edit(house, "expectations/datasets.py", "USERS = Dataset()", "USERS = Dataset(1)")
    _load.cache_clear()
    assert reached("tasks.stages", "evaluate", house) == found
    assert not reached("tasks.stages", "train", house).declared


@pytest.fixture
def old_house(house, monkeypatch):
    """Written before the process began, as sources are."""
    monkeypatch.setattr(code, "_BEGAN_NS", time.time_ns())
    return house


def _then(root: Path) -> code.Reached:
    _load.cache_clear()
    return reached("tasks.stages", "train", root)


def test_what_is_not_edited_or_only_in_words_is_as_it_was(old_house):
    then = _then(old_house)
    assert code.edited_since(then, old_house) == []
    _edit(old_house, "models/towers.py", '"""Units."""', '"""Neurons."""')
    _edit(old_house, "models/losses.py", "def hinge(x):\n    return 0", "def hinge(x):\n    return 1")
    assert code.edited_since(then, old_house) == []


def test_edited_files_are_named_until_they_are_as_before(old_house):
    then = _then(old_house)
    _edit(old_house, "models/losses.py", "return helper(x)", "return helper(x) + 1")
    _edit(old_house, "models/towers.py", "int = 3", "int = 4")
    for _ in range(2):  # asked by one stage after the other
        assert code.edited_since(then, old_house) == ["models/losses.py", "models/towers.py"]
    _edit(old_house, "models/losses.py", "return helper(x) + 1", "return helper(x)")
    assert code.edited_since(then, old_house) == ["models/towers.py"]
    (old_house / "models/towers.py").unlink()
    assert code.edited_since(then, old_house) == ["models/towers.py"]


def test_what_was_edited_between_the_start_and_the_key_is_named_whatever_it_was(house):
    """Its module may have been imported before."""
    assert "models/losses.py" in code.edited_since(_then(house), house)


def test_a_clock_that_is_ahead_hinders_nobody(house):
    for file in house.rglob("*.py"):
        os.utime(file, (4e9, 4e9))
    assert code.edited_since(_then(house), house) == []


def test_of_several_functions_all_are_looked_at(old_house):
    one = _then(old_house)
    both = code.joined(one, reached("tasks.stages", "evaluate", old_house))
    assert code.joined(one) == one and both.declared >= {"WATCHES"}
    _edit(old_house, "tasks/stages.py", "return 2", "return 3")
    assert code.edited_since(one, old_house) == [] and code.edited_since(both, old_house) == ["tasks/stages.py"]


def test_a_parser_that_is_disturbed_by_other_threads_is_asked_again(monkeypatch):
    """As CPython before 3.11.8 is; a text that is no Python stays an error."""
    parse, fails = ast.parse, iter([True, True, False])

    def disturbed(source):
        if next(fails):
            raise SystemError("AST constructor recursion depth mismatch (before=135, after=76)")
        return parse(source)

    monkeypatch.setattr(code.ast, "parse", disturbed)
    assert ast.dump(code._parse("a = 1")) == ast.dump(parse("a = 1"))
    monkeypatch.undo()
    with pytest.raises(SyntaxError):
        code._parse("a = ")
