"""How candidates are scored: the ranker's outputs, their powers, and the fusion with retrieval."""

import json
import math

import numpy as np
import onnxruntime
import pytest

from models.runtime import BundleError
from models.runtime.features import PAIR_FEATURES
from models.runtime.ranker import Ranker


def traced(bundle, user_ids):
    """Rows without the exploration slot, which is drawn and not ranked."""
    return [r for r in bundle.recommend(user_ids, trace=True).table.to_pylist() if not r["explored"]]


PLAIN = {"order__mmr_lambda": 1.0, "order__series_cap": 0, "order__creator_cap": 0, "order__fresh_quota": 0}


@pytest.mark.parametrize("power", ["click", "watch", "completion"])
def test_with_the_ranker_alone_lists_follow_its_powers(power, bundle_with, user_ids):
    powers = {f"rank__{name}_power": 2.0 * (name == power) for name in ("click", "watch", "completion")}
    column = dict(zip(("click", "watch", "completion"), Ranker.OUTPUTS, strict=True))[power]
    rows = traced(bundle_with(rank__ranker_weight=1.0, **powers, **PLAIN), user_ids)
    for user in user_ids:
        values = [r[column] for r in rows if r["user_id"] == user]
        assert values == sorted(values, reverse=True)


def test_powers_multiply():
    predicted = {name: np.array([[v]]) for name, v in zip(Ranker.OUTPUTS, (0.2, 300.0, 0.5), strict=True)}
    settings = {"click_power": 1.0, "watch_power": 0.5, "completion_power": 2.0}
    assert Ranker.score(predicted, settings)[0, 0] == pytest.approx(math.log(0.2 * 300**0.5 * 0.5**2))


def test_without_the_ranker_lists_follow_retrieval(bundle_with, user_ids):
    rows = traced(bundle_with(rank__ranker_weight=0.0, **PLAIN), user_ids)
    assert "click_probability" not in rows[0]
    for user in user_ids:
        values = [r["retrieval"] for r in rows if r["user_id"] == user]
        assert values == sorted(values, reverse=True)


def test_relevance_is_the_weighted_geometric_mean_of_both(bundle_with, user_ids):
    bundle = bundle_with(rank__ranker_weight=0.6)
    rows = bundle.features.user_rows(np.array(user_ids))
    pool, _ = bundle.steps.candidates(bundle.features.users, rows, 8)
    relevance, expected = bundle.steps._rank(bundle.features, rows, pool)
    settings = bundle.pipeline["rank"]
    for user in user_ids:
        product = [
            retrieval**0.4
            * (
                click ** settings["click_power"]
                * seconds ** settings["watch_power"]
                * completion ** settings["completion_power"]
            )
            ** 0.6
            for retrieval, click, seconds, completion, item in zip(
                pool.retrieval[user], *(expected[n][user] for n in Ranker.OUTPUTS), pool.item_ids[user], strict=True
            )
            if item >= 0
        ]
        np.testing.assert_allclose(relevance[user, : len(product)], np.array(product) / max(product), rtol=1e-4)
        assert (relevance[user, len(product) :] == 0).all()


def test_the_ranker_sees_the_features_it_was_trained_on(bundle, path, user_ids):
    row = traced(bundle, user_ids)[5]
    pair = bundle.features.pairs(bundle.features.user_rows(np.array([row["user_id"]])), np.array([row["item_id"]]))
    outputs = onnxruntime.InferenceSession(path / "ranker.onnx").run(list(Ranker.OUTPUTS), {"features": pair})
    assert [row[name] for name in Ranker.OUTPUTS] == pytest.approx([float(o[0]) for o in outputs], rel=1e-4)


def test_a_ranker_of_other_features_is_refused(tmp_path, path):
    (tmp_path / "ranker.onnx").write_bytes((path / "ranker.onnx").read_bytes())
    (tmp_path / "ranker.json").write_text(json.dumps({"features": PAIR_FEATURES[1:]}))
    with pytest.raises(BundleError, match=r"ranker\.json: trained on features"):
        Ranker(tmp_path)


def test_trace_says_how_an_item_came_into_the_list(bundle, user_ids):
    table = bundle.recommend(user_ids, trace=True).table
    plain = bundle.recommend(user_ids).table
    assert table.select(plain.column_names).equals(plain)
    for row in table.to_pylist():
        places = {name: row[f"rank_in_{name}"] for name in bundle.steps.active if row[f"rank_in_{name}"]}
        assert not places or row["source"] in places
