"""How MLflow serves a release. Logged as code beside the bundle; needs mlflow, pandas and the bundle's own packages.

Input, one row a request, all ids as in the log: `user_id`, or `history` (item ids, oldest first) for somebody unknown,
and `k`, by default the length of the release's own lists. A user whom the release does not know gets what a new user
gets. A request that cannot be answered is refused with all that came with it, by its place and in one sentence.
Output, one row a recommendation: `request`, `rank`, `item_id`, `title`, `score`, `source`, `reason`.
"""

import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class Recommender(PythonModel):
    """Answers from the bundle, through the bundle's own runtime."""

    def load_context(self, context: PythonModelContext) -> None:
        folder = Path(context.artifacts["bundle"])
        runtime = _runtime(folder)
        self.bundle, self.refusal = runtime.Bundle(folder), runtime.BundleError
        # By what runtimes of every age have: a release that was only added to keeps its own.
        ids = self.bundle.id_map.to_pandas()
        users, items = (ids[ids["kind"] == kind] for kind in ("user", "item"))
        users = users[users["id"].isin(self.bundle.user_ids)]
        self.users = dict(zip(users["external_id"], users["id"], strict=True))
        self.names = dict(zip(items["id"], items["external_id"], strict=True))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        answers = []
        for number, row in enumerate(model_input.to_dict("records")):
            try:
                answers.append(self._answer(row).assign(request=number))
            except self.refusal as error:
                raise MlflowException.invalid_parameter_value(f"request {number}: {error}") from error
        titles = self.bundle.items.select(["item_id", "title"]).to_pandas()
        table = pd.concat(answers).merge(titles, on="item_id", how="left").sort_values(["request", "rank"])
        table["item_id"] = table["item_id"].map(self.names)
        return table[["request", "rank", "item_id", "title", "score", "source", "reason"]].reset_index(drop=True)

    def _answer(self, row: dict[Any, Any]) -> pd.DataFrame:
        told = {str(name): _as_told(value) for name, value in row.items()}
        k, history, user = told.get("k"), told.get("history"), told.get("user_id")
        name = "" if user is None else self._outside("user_id", user)
        if history is None and name in self.users:
            return self.bundle.recommend([self.users[name]], k=k).table.to_pandas()
        if isinstance(history, str) or not isinstance(history, Iterable | None):
            raise self.refusal(f"history is {history!r}; allowed: a list of item ids, oldest first")
        names = [self._outside(f"history[{n}]", _as_told(one)) for n, one in enumerate(history or ())]
        items = self.bundle.ids("item", names).tolist() if names else []
        return self.bundle.recommend_for_history(items, k=k).table.to_pandas()

    def _outside(self, name: str, value: Any) -> str:
        """An outside id: text, or a number that the log's ids were."""
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self.refusal(f"{name} is {value!r}; allowed: an id of the log, text or a whole number")
        return str(value)


def _as_told(value: Any) -> Any:
    """What a request said: a frame has NaN where it said nothing, and whole numbers as floats beside that."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is pd.NA or value is pd.NaT or value != value:
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _runtime(folder: Path) -> Any:
    """The package `bundle` of a folder, under a name of its own: one process may serve several versions."""
    name = "bundle_" + json.loads((folder / "manifest.json").read_text())["digest"]
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, folder / "bundle" / "__init__.py")
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


set_model(Recommender())
