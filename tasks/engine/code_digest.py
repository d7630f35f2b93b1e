"""What code an artifact came from: a digest of exactly the definitions that a stage's function can reach.

Syntax trees are hashed, without docstrings, comments and what is said when something is refused, so rewording reruns
nothing; and only what is reachable counts, so editing a loss reruns the stages that use that loss and nothing else.
What is declared of datasets counts by its value, a dataset at a time (see `stage`). Everything is read statically.
"""

import ast
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from expectations.retrying import retrying

HOUSE = ("tasks", "models", "spark_jobs", "expectations")

DECLARATIONS = "expectations.datasets"

# How artifacts are kept, declared and refused, what is said of them, and how fast Spark starts, does not decide what
# is in them.
MACHINERY = (
    "tasks.engine", "tasks.machine", "models.catalogue", DECLARATIONS, "expectations.substitutes",
    "expectations.settings", "expectations.errors", "expectations.prepared", "expectations.files",
    "expectations.locks", "expectations.processes", "expectations.retrying", "expectations.progress",
    "expectations.records",
    "spark_jobs.java", "spark_jobs.class_archive", "spark_jobs.archive_recording",
)  # fmt: skip
"""Modules, and packages with all that is in them."""

REFUSALS = ("UserError", "Failure", "BundleError", "ValueError")
"""They end a stage, or what a release is asked, so that what they say is in no list, table or model."""

SAID = ("summary",)
"""Arguments by which an entry of a table, such as that of the systems, tells people what it is."""

PARSES_AT_MOST = 50
"""How often a text is parsed again before its `SystemError` counts."""

ROOT = Path(__file__).resolve().parents[2]

Definition = tuple[str, str]  # (module, top-level name); name "*" is the whole module


@dataclass
class _Module:
    """Top-level definitions of one of our files, and where its imported names come from."""

    path: Path
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Definition] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)


@dataclass(frozen=True)
class Reached:
    """What a function reaches.

    Attributes:
        digests: `{"models/losses.py": "<16 hex digits>", ...}`, by source file relative to the root, sorted.
        declared: what it names of `expectations.datasets`: constants such as `WATCHES`, and what it looks up by a
            constant, such as `DATASETS["items"]` (then `items`).
        functions: module and name of each, as `reached` was asked.
    """

    digests: dict[str, str]
    declared: frozenset[str] = frozenset()
    functions: tuple[Definition, ...] = ()


def reached(module: str, function: str, root: Path = ROOT) -> Reached:
    """What `function` of a module below `root` reaches."""
    dumps: dict[str, list[str]] = {}
    declared: set[str] = set()
    for name, statements in _reach((module, function), root):
        dumps.setdefault(name, []).extend(_text(s) for s in statements)
        declared |= {n for s in statements for where, n in _referred(s, name, root) if where == DECLARATIONS}
    digests = {}
    for name, texts in dumps.items():
        path = _load(name, root).path.relative_to(root).as_posix()
        digests[path] = hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:16]
    return Reached(dict(sorted(digests.items())), frozenset(declared), ((module, function),))


def joined(*several: Reached) -> Reached:
    """What several functions reach together."""
    if len(several) == 1:
        return several[0]
    by_file: dict[str, set[str]] = {}
    for one in several:
        for file, digest in one.digests.items():
            by_file.setdefault(file, set()).add(digest)
    digests = {f: hashlib.sha256(" ".join(sorted(ds)).encode()).hexdigest()[:16] for f, ds in sorted(by_file.items())}
    declared = frozenset().union(*(one.declared for one in several))
    return Reached(digests, declared, tuple(f for one in several for f in one.functions))


def edited_since(then: Reached, root: Path = ROOT) -> list[str]:
    """Source files of which something else is reached now than `then`, when their digests went into a key.

    Python reads a module when it is first imported, and a key is made from the files as they are then: where these are
    edited in between, nobody knows what ran. A file that was edited after this process began and before it was read
    for its digest is among them, whatever was edited.
    """
    if not then.functions:
        return []
    with _LOCK:
        stamps = {file: _stamp(root / file) for file in then.digests}
        # A time that is yet to come is a clock's that goes wrong, and tells nothing.
        early = [file for file in stamps if _BEGAN_NS < _FIRST[root / file][0] <= time.time_ns()]
        if early or all(stamp == _FIRST[root / file] for file, stamp in stamps.items()):
            return early
        if any(stamp != _LAST[root / file] for file, stamp in stamps.items()):
            for cached in (_load, _referred, _text):
                cached.cache_clear()
        if gone := [file for file, (_, size) in stamps.items() if size < 0]:
            return gone
        now = joined(*(reached(module, function, root) for module, function in then.functions))
    return sorted(f for f in {*then.digests, *now.digests} if then.digests.get(f) != now.digests.get(f))


def _stamp(path: Path) -> tuple[int, int]:
    """Time of change and size of a file; of one that is gone, those of none."""
    try:
        found = path.stat()
    except OSError:
        return 0, -1
    return found.st_mtime_ns, found.st_size


_BEGAN_NS = time.time_ns()
_LOCK = threading.Lock()
_FIRST: dict[Path, tuple[int, int]] = {}
_LAST: dict[Path, tuple[int, int]] = {}
"""Stamps of source files when they were read for the first time, and for the last."""


def _reach(start: Definition, root: Path) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Walk definitions, yielding each reached definition's statements once."""
    queue, seen, entered = [start], {start}, set()
    while queue:
        module_name, name = queue.pop()
        module = _load(module_name, root)
        statements = list(module.definitions.get(name, []))
        if name == "*":
            statements = [s for group in module.definitions.values() for s in group]
        if module_name not in entered:
            entered.add(module_name)
            statements += module.effects
        yield module_name, statements
        # A whole module has what it hands on, too.
        handed_on = [_at_home(found, root) for found in module.imports.values()] if name == "*" else []
        for found in (*handed_on, *(f for s in statements for f in _referred(s, module_name, root))):
            if found not in seen and not _is_machinery(found[0]):
                seen.add(found)
                queue.append(found)


def _is_machinery(module: str) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in MACHINERY)


@cache  # stages share most of what they reach
def _referred(statement: ast.stmt, module_name: str, root: Path) -> tuple[Definition, ...]:
    """Our definitions that a statement of a module names."""
    module = _load(module_name, root)
    nodes = list(_walk(statement))
    imported: dict[str, Definition] = {}
    for node, _ in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imported.update(_imported(node, module_name, root))
    here = {**module.imports, **imported}
    names = {n.id for n, local in nodes if isinstance(n, ast.Name) and (n.id not in local or n.id in imported)}
    found = [here.get(name, (module_name, name)) for name in sorted(names & {*here, *module.definitions})]
    looked_up = {
        node.slice.value
        for node, _ in nodes
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant)
        if here.get(node.value.id) == (DECLARATIONS, "DATASETS") and isinstance(node.slice.value, str)
    }
    return (*(_at_home(definition, root) for definition in found), *((DECLARATIONS, n) for n in sorted(looked_up)))


def _walk(statement: ast.stmt) -> Iterator[tuple[ast.AST, frozenset[str]]]:
    """Every node that decides content, and what names are parameters or variables of the functions around it."""
    queue: list[tuple[ast.AST, frozenset[str]]] = [(statement, frozenset())]
    while queue:
        node, local = queue.pop()
        yield node, local
        inside = local | _locals(node) if isinstance(node, _FUNCTIONS) else local
        for name, value in _fields(node):
            # A function's decorators, annotations and defaults are evaluated around it.
            around = inside if name == "body" else local
            if isinstance(value, list):
                queue.extend((child, around) for child in value if isinstance(child, ast.AST))
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                queue.append((value, around))


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _locals(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Parameters and variables of a function itself, not of what has a scope of its own inside it."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    found, declared = {a.arg for a in every if a}, set[str]()
    queue: list[ast.AST] = list(function.body)
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            declared.update(node.names)
        if not isinstance(node, _SCOPES):
            queue.extend(ast.iter_child_nodes(node))
    return found - declared


def _fields(node: ast.AST) -> list[tuple[str, Any]]:
    """The fields of a node that decide content: all but docstrings, and words for whoever is refused something."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS:
        return [("func", node.func)]
    if isinstance(node, ast.Call):
        given = [keyword for keyword in node.keywords if keyword.arg not in SAID]
        return [("func", node.func), ("args", node.args), ("keywords", given)]
    if isinstance(node, ast.Assert):
        return [("test", node.test)]
    return [
        (name, [v for v in value if not _is_docstring(v)] if name in _BLOCKS and isinstance(value, list) else value)
        for name, value in ast.iter_fields(node)
    ]


_BLOCKS = ("body", "orelse", "finalbody")


def _at_home(definition: Definition, root: Path) -> Definition:
    """Where a name is defined that a module only hands on; what it does not know, its `__getattr__` makes, if any."""
    module_name, name = definition
    module = _load(module_name, root)
    if name not in {*module.definitions, *module.imports, "*"} and "__getattr__" in module.definitions:
        return module_name, "__getattr__"
    if name in module.definitions or name not in module.imports:
        return definition
    return _at_home(module.imports[name], root)


def _imported(node: ast.Import | ast.ImportFrom, importer: str, root: Path) -> Iterator[tuple[str, Definition]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] in HOUSE:
                yield alias.asname or alias.name.split(".")[0], (alias.name, "*")
        return
    source = _absolute(node, importer, root)
    if source.split(".")[0] not in HOUSE:
        return
    for alias in node.names:
        submodule = f"{source}.{alias.name}"
        is_module = _file(submodule, root) is not None
        yield alias.asname or alias.name, (submodule, "*") if is_module else (source, alias.name)


def _absolute(node: ast.ImportFrom, importer: str, root: Path) -> str:
    """The module that something is imported from. Only the runtime of a bundle imports relatively, from beside it."""
    if not node.level:
        return node.module or ""
    assert node.level == 1 and node.module, f"{importer}: imports relatively from above, or a whole module"
    path = _file(importer, root)
    is_package = path is not None and path.name == "__init__.py"
    return f"{importer if is_package else importer.rpartition('.')[0]}.{node.module}"


@cache
def _load(name: str, root: Path) -> _Module:
    path = _file(name, root)
    assert path is not None, f"{name} is imported, but has no file below {root}"
    _LAST[path] = _stamp(path)
    _FIRST.setdefault(path, _LAST[path])
    module = _Module(path)
    for statement in _parse(path.read_text()).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            module.imports.update(_imported(statement, name, root))
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            module.definitions.setdefault(statement.name, []).append(statement)
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            for target in ast.walk(statement):
                if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
                    module.definitions.setdefault(target.id, []).append(statement)
        elif not (_is_docstring(statement) or _is_for_types(statement)):
            module.effects.append(statement)
    return module


def _file(name: str, root: Path) -> Path | None:
    base = root / name.replace(".", "/")
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _is_docstring(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_for_types(node: ast.stmt) -> bool:
    """What only a type checker reads."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def _text(statement: ast.stmt) -> str:
    """The statement's tree, as far as it decides content."""
    return _dump(statement)


def _dump(value: Any) -> str:
    """As `ast.dump`, which has no way to leave something out."""
    if isinstance(value, ast.AST):
        return f"{type(value).__name__}({', '.join(f'{name}={_dump(v)}' for name, v in _fields(value))})"
    if isinstance(value, list):
        return f"[{', '.join(map(_dump, value))}]"
    return repr(value)


def _parse(source: str) -> ast.Module:
    """The tree of a source text.

    CPython before 3.11.8 and 3.12.2 counts the depth of a tree for all threads together, so that a good text may fail
    while another thread, such as one that imports a library, parses too (github.com/python/cpython/issues/106905).
    """
    return retrying(lambda: ast.parse(source), (0.0,) * PARSES_AT_MOST, SystemError)
