"""What code an artifact came from: a digest of exactly the definitions that a stage's function can reach.

Syntax trees are hashed, without docstrings and comments, so rewording reruns nothing; and only what is reachable
counts, so editing a loss reruns the stages that use that loss and nothing else. Everything is read statically.
"""

import ast
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

HOUSE = ("tasks", "models", "spark_jobs", "expectations")

# How artifacts are kept, declared and refused, and how fast Spark starts, does not decide what is in them.
MACHINERY = {
    "tasks.stage", "tasks.running", "tasks.lake", "tasks.outputs", "tasks.digest", "tasks.config", "tasks.code",
    "tasks.faults", "spark_jobs.java", "spark_jobs.class_archive", "spark_jobs.rehearsal",
    "expectations.settings", "expectations.errors", "expectations.prepared",
}  # fmt: skip

PARSES_AT_MOST = 50
"""How often a text is parsed before its `SystemError` counts."""

Definition = tuple[str, str]  # (module, top-level name); name "*" is the whole module


@dataclass
class _Module:
    """Top-level definitions of one of our files, and where its imported names come from."""

    path: Path
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Definition] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)


def code_digests(module: str, function: str, root: Path) -> dict[str, str]:
    """Digest of what `function` reaches, by source file relative to `root`.

    Returns:
        `{"models/losses.py": "<16 hex digits>", ...}`, sorted by file.
    """
    reached: dict[str, list[str]] = {}
    for name, statements in _reach((module, function), root):
        reached.setdefault(name, []).extend(_text(s) for s in statements)
    digests = {}
    for name, dumps in reached.items():
        path = _load(name, root).path.relative_to(root).as_posix()
        digests[path] = hashlib.sha256("\n".join(sorted(dumps)).encode()).hexdigest()[:16]
    return dict(sorted(digests.items()))


def _reach(start: Definition, root: Path) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Walk definitions breadth-first, yielding each reached definition's statements once."""
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
            if found not in seen and found[0] not in MACHINERY:
                seen.add(found)
                queue.append(found)


@cache  # stages share most of what they reach
def _referred(statement: ast.stmt, module_name: str, root: Path) -> tuple[Definition, ...]:
    """Our definitions that a statement of a module names."""
    module = _load(module_name, root)
    nodes = list(ast.walk(statement))
    local = dict(module.imports)
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            local.update(_imported(node, module_name, root))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    found = (
        local.get(name, (module_name, name)) for name in sorted(names) if name in local or name in module.definitions
    )
    return tuple(_at_home(definition, root) for definition in found)


def _at_home(definition: Definition, root: Path) -> Definition:
    """Where a name is defined that a module only hands on."""
    module_name, name = definition
    module = _load(module_name, root)
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
        elif not _is_docstring(statement):
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


@cache
def _text(statement: ast.stmt) -> str:
    """The statement's tree without docstrings."""
    return _dump(statement)


def _dump(value: Any) -> str:
    """As `ast.dump`, which has no way to leave something out."""
    if isinstance(value, ast.AST):
        return f"{type(value).__name__}({', '.join(f'{name}={_dump(v)}' for name, v in ast.iter_fields(value))})"
    if isinstance(value, list):
        return f"[{', '.join(_dump(v) for v in value if not _is_docstring(v))}]"
    return repr(value)


def _parse(source: str) -> ast.Module:
    """The tree of a source text.

    CPython before 3.11.8 and 3.12.2 counts the depth of a tree for all threads together, so that a good text may fail
    while another thread, such as one that imports a library, parses too (github.com/python/cpython/issues/106905).
    """
    for _ in range(PARSES_AT_MOST):
        with suppress(SystemError):
            return ast.parse(source)
    return ast.parse(source)
