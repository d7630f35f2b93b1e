"""A bundle through its own runtime: the package `bundle` in its folder, which may be older than ours.

Whoever asks it uses what `models.runtime.Bundle` declares, and nothing behind that. Runtimes that were made before it
was declared get it here, and nowhere else.
"""

import importlib.util
import itertools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from expectations.errors import Failure
from models.onnx_runtime import onnxruntime
from models.runtime.manifest import read_json

_NUMBERS = itertools.count()


def open_bundle(folder: Path, **options: Any) -> Any:
    """The bundle of a folder, an instance of its own `Bundle` class.

    Args:
        options: handed on to `Bundle`.

    Raises:
        Failure: it is damaged, or does not fit together.
    """
    module, own, refusal = _runtime(folder)
    if not hasattr(own, "user_ids"):
        own = type("Bundle", (Undeclared, own), {"runtime": module})
    try:
        return own(folder, **options)
    except refusal as error:
        raise Failure(str(error)) from error


class Undeclared:
    """What `Bundle` declares of its users and items, over the parts of a runtime that does not.

    Mixed into the `Bundle` of releases made until November 2026, all of format 1. Goes with the kept release of that
    format (tests/data) when they are no longer supported.
    """

    features: Any
    pipeline: dict[str, Any]
    path: Path
    runtime: Any

    @property
    def active_sources(self) -> tuple[str, ...]:
        return tuple(name for name, asked in self.pipeline["sources"].items() if asked["num_candidates"])

    @property
    def user_ids(self) -> np.ndarray:
        return np.asarray(self.features.users.ids)

    @property
    def users(self) -> pa.Table:
        return self.features.users.table

    @property
    def num_watched(self) -> np.ndarray:
        return np.diff(self.features.users.history.offsets)

    @property
    def genre_shares(self) -> np.ndarray:
        return np.asarray(self.features.users.genre_shares)

    @property
    def genres(self) -> list[str]:
        return list(self.features.items.genre_names.to_pylist())

    @property
    def item_ids(self) -> np.ndarray:
        return np.asarray(self.features.items.ids)

    @property
    def titles(self) -> pa.Array:
        return self.features.items.titles

    @property
    def item_vectors(self) -> np.ndarray:
        return np.asarray(self.features.items.vectors)[:-1]

    def user_vectors(self, user_ids: Any) -> np.ndarray:
        rows = self.features.user_rows(np.asarray(user_ids, dtype=np.int64))
        if not hasattr(self, "_batches"):  # of the first releases, to which nobody could tell what was watched since
            return np.asarray(self.features.users.vectors(rows))[:, 0]
        return np.concatenate([features.users.vectors(some)[:, 0] for features, some in self._batches(rows)])

    def embed(self, items: pa.Table) -> np.ndarray:
        tower = onnxruntime.InferenceSession(str(self.path / "item_tower.onnx"), providers=["CPUExecutionProvider"])
        encode = getattr(self.runtime, "encoding", self.runtime).encode
        inputs = encode(items, read_json(self.path / "encoders.json")["item"])
        wanted = [i.name for i in tower.get_inputs()]
        return np.asarray(tower.run(["item_vector"], {name: inputs[name] for name in wanted})[0])


_COMPILING = threading.Lock()
"""Where modules are compiled to is the whole process's choice."""


@contextmanager
def _compiled_anew() -> Iterator[None]:
    """Modules that are imported meanwhile are compiled from their sources: what Python has kept beside these
    (`__pycache__`) has no hash in a manifest.
    """
    with _COMPILING, TemporaryDirectory() as empty:
        before = sys.pycache_prefix, sys.dont_write_bytecode
        sys.pycache_prefix, sys.dont_write_bytecode = empty, True
        try:
            yield
        finally:
            sys.pycache_prefix, sys.dont_write_bytecode = before


def _runtime(folder: Path) -> tuple[Any, Any, type[Exception]]:
    """The runtime of a folder with its `Bundle` and `BundleError`, under a name that no other has. It is gone from
    `sys.modules` once it is loaded: it can import nothing afterwards.
    """
    name, file = f"runtime_{next(_NUMBERS)}", folder / "bundle" / "__init__.py"
    # In the first releases the runtime was one file.
    spec = importlib.util.spec_from_file_location(name, file if file.is_file() else folder / "bundle.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its modules and dataclasses look it up there
    try:
        with _compiled_anew():
            spec.loader.exec_module(module)
            return module, module.Bundle, module.BundleError  # which imports the rest
    except FileNotFoundError:
        raise Failure(f"{file}: missing; fetch the bundle again") from None
    finally:
        # A copy of the names: other threads import meanwhile.
        for loaded in [one for one in list(sys.modules) if one.split(".")[0] == name]:
            del sys.modules[loaded]
