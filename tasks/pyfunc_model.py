"""How MLflow serves a release. Logged as code beside the bundle; needs mlflow, pandas and the bundle's own packages.

Input, one row a request: `user_id` (dense), or `history` (item ids, oldest first) for somebody unknown, and `k`.
Output, one row a recommendation: `request`, `rank`, `item_id`, `title`, `score`, `source`, `reason`.
"""

import importlib.util
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class Recommender(PythonModel):
    """Answers from the bundle, through the bundle's own runtime."""

    def load_context(self, context: PythonModelContext) -> None:
        folder = Path(context.artifacts["bundle"])
        spec = importlib.util.spec_from_file_location("nightjar_bundle", folder / "bundle.py")
        assert spec and spec.loader
        runtime = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(runtime)
        self.bundle = runtime.Bundle(folder)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        answers = [self._answer(row).assign(request=n) for n, row in enumerate(model_input.to_dict("records"))]
        titles = self.bundle.items.select(["item_id", "title"]).to_pandas()
        table = pd.concat(answers).merge(titles, on="item_id", how="left").sort_values(["request", "rank"])
        return table[["request", "rank", "item_id", "title", "score", "source", "reason"]].reset_index(drop=True)

    def _answer(self, row: dict[Any, Any]) -> pd.DataFrame:
        k = int(row.get("k") or 20)
        history = row.get("history")
        if history is not None and len(history):
            return self.bundle.recommend_for_history([int(i) for i in history], k=k).table.to_pandas()
        return self.bundle.recommend([int(row["user_id"])], k=k).table.to_pandas()


set_model(Recommender())
