"""How MLflow serves a release. Logged as code beside the bundle; needs mlflow, pandas and the bundle's own packages.

Input, one row a request, all ids as in the log: `user_id`, or `history` (item ids, oldest first) for somebody unknown,
and `k`. A user whom the release does not know gets what a new user gets.
Output, one row a recommendation: `request`, `rank`, `item_id`, `title`, `score`, `source`, `reason`.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class Recommender(PythonModel):
    """Answers from the bundle, through the bundle's own runtime."""

    def load_context(self, context: PythonModelContext) -> None:
        folder = Path(context.artifacts["bundle"])
        self.bundle = _runtime(folder).Bundle(folder)
        ids = self.bundle.id_map.to_pandas()
        self.users, items = (ids[ids["kind"] == kind] for kind in ("user", "item"))
        self.users = dict(zip(self.users["external_id"], self.users["id"], strict=True))
        self.names = dict(zip(items["id"], items["external_id"], strict=True))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        answers = [self._answer(row).assign(request=n) for n, row in enumerate(model_input.to_dict("records"))]
        titles = self.bundle.items.select(["item_id", "title"]).to_pandas()
        table = pd.concat(answers).merge(titles, on="item_id", how="left").sort_values(["request", "rank"])
        table["item_id"] = table["item_id"].map(self.names)
        return table[["request", "rank", "item_id", "title", "score", "source", "reason"]].reset_index(drop=True)

    def _answer(self, row: dict[Any, Any]) -> pd.DataFrame:
        # A frame of users and histories has NaN where a row has no value.
        row = {name: value for name, value in row.items() if not (isinstance(value, float) and value != value)}
        k, history, user = int(row.get("k") or 20), row.get("history"), str(row.get("user_id"))
        if history is None and user in self.users:
            return self.bundle.recommend([self.users[user]], k=k).table.to_pandas()
        items = self.bundle.ids("item", [str(i) for i in history]).tolist() if history else []
        return self.bundle.recommend_for_history(items, k=k).table.to_pandas()


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
