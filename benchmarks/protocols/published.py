"""Published figures, found by protocol and by what the folder holds: (users, items, interactions)."""

Row = dict[str, float]


def _rows(columns: str, figures: dict[str, tuple[float, ...]]) -> dict[str, Row]:
    return {name: dict(zip(columns.split(), values, strict=True)) for name, values in figures.items()}


_BARS = "BARS (reczoo), Gowalla_m1, the split of NGCF and LightGCN"
_BEAUTY = "S3-Rec's table of full ranking; README of blondered/transformer_benchmark"
_NCF = "Rendle et al. 2020, Neural Collaborative Filtering vs. Matrix Factorization Revisited, and its sequel on iALS"
_SURPRISE = "README of Surprise, default settings, the same folds"

PUBLISHED: dict[tuple[str, int, int, int], tuple[str, dict[str, Row]]] = {
    ("fixed-split", 29_858, 40_981, 1_027_370): (
        _BARS,
        _rows(
            "recall@20 ndcg@20",
            {
                "Item2Vec": (0.1326, 0.1057),
                "PinSage": (0.1380, 0.1196),
                "NeuMF": (0.1399, 0.1212),
                "ItemCF": (0.1570, 0.1214),
                "MF-BPR": (0.1627, 0.1378),
                "SLIM": (0.1699, 0.1382),
                "YoutubeDNN": (0.1754, 0.1473),
                "EASE": (0.1765, 0.1467),
                "LightGCN": (0.1820, 0.1547),
                "GF-CF": (0.1849, 0.1518),
                "UltraGCN": (0.1862, 0.1580),
                "SimpleX": (0.1872, 0.1557),
            },
        ),
    ),
    ("leave-one-out", 22_363, 12_101, 198_502): (
        _BEAUTY,
        _rows(
            "recall@10 ndcg@10",
            {
                "GRU4Rec": (0.0283, 0.0137),
                "Caser": (0.0347, 0.0176),
                "SASRec (BCE)": (0.0605, 0.0318),
                "S3-Rec": (0.0647, 0.0327),
                "TIGER": (0.0648, 0.0384),
                "HSTU": (0.0788, 0.0439),
                "SASRec + sampled softmax": (0.0921, 0.0531),
                "eSASRec": (0.0928, 0.0523),
            },
        ),
    ),
    ("sampled-negatives", 6_040, 3_706, 1_000_209): (
        _NCF,
        _rows(
            "hit_rate@10 ndcg@10",
            {
                "NeuMF, published": (0.730, 0.447),
                "NeuMF, rerun": (0.709, 0.435),
                "SLIM": (0.716, 0.447),
                "EASE": (0.718, 0.449),
                "iALS": (0.722, 0.445),
                "MF": (0.729, 0.452),
            },
        ),
    ),
    ("kfold-rmse", 943, 1_682, 100_000): (
        _SURPRISE,
        _rows("rmse", {"Baseline": (0.944,), "SVD": (0.934,), "KNN Baseline": (0.931,), "SVD++ (cached)": (0.919,)}),
    ),
}


def published(protocol: str, counts: tuple[int, int, int]) -> tuple[str, dict[str, Row]]:
    """Their source, and figures by the name of the model; none for data that nobody published on here."""
    return PUBLISHED.get((protocol, *counts), ("", {}))
