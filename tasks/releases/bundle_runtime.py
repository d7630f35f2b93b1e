"""A bundle through its own runtime: the package `bundle` in its folder, which may be older than ours."""

import importlib.util
import itertools
import sys
from pathlib import Path
from typing import Any

from expectations.errors import Failure

_NUMBERS = itertools.count()


def open_bundle(folder: Path, **options: Any) -> Any:
    """The bundle of a folder, an instance of its own `Bundle` class.

    Args:
        options: handed on to `Bundle`.

    Raises:
        Failure: it is damaged, or does not fit together.
    """
    bundle, refusal = _classes(folder)
    try:
        return bundle(folder, **options)
    except refusal as error:
        raise Failure(str(error)) from error


def _classes(folder: Path) -> tuple[Any, type[Exception]]:
    """`Bundle` and `BundleError` of a folder's runtime, which has a name that no other has, and is gone from
    `sys.modules` once it is loaded: it can import nothing afterwards.
    """
    name, file = f"runtime_{next(_NUMBERS)}", folder / "bundle" / "__init__.py"
    # In the first releases the runtime was one file.
    spec = importlib.util.spec_from_file_location(name, file if file.is_file() else folder / "bundle.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its modules and dataclasses look it up there
    try:
        spec.loader.exec_module(module)
        return module.Bundle, module.BundleError
    except FileNotFoundError:
        raise Failure(f"{file}: missing; fetch the bundle again") from None
    finally:
        # A copy of the names: other threads import meanwhile.
        for loaded in [one for one in list(sys.modules) if one.split(".")[0] == name]:
            del sys.modules[loaded]
