"""A bundle through its own runtime: the `bundle.py` in its folder, which may be older than ours."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from expectations.errors import Failure


def open_bundle(folder: Path, **options: Any) -> Any:
    """The bundle of a folder, an instance of its own `Bundle` class.

    Args:
        options: handed on to `Bundle`.

    Raises:
        Failure: it is damaged, or does not fit together.
    """
    module = _module(folder)
    try:
        return module.Bundle(folder, **options)
    except module.BundleError as error:
        raise Failure(str(error)) from error


def _module(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"runtime_of_{folder.name}", folder / "bundle.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    except FileNotFoundError:
        raise Failure(f"{folder / 'bundle.py'}: missing; fetch the bundle again") from None
    finally:
        del sys.modules[spec.name]
    return module
