"""The space of vectors made visible: two dimensions of many, and groups of users. Results are kept by release."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.data import TOWERS, Release

MOST_POINTS = 2500
"""Items that are drawn; of more, a random sample."""
MOST_CLUSTERED = 50_000
SEED = 0


def pca(vectors: np.ndarray) -> np.ndarray:
    """`[N, 2]`: the two directions in which vectors `[N, d]` differ most."""
    centred = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    return centred @ directions[:2].T


def tsne(vectors: np.ndarray) -> np.ndarray:
    """`[N, 2]`: neighbours stay neighbours, distances between groups mean nothing (van der Maaten and Hinton 2008)."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, max(1.0, (len(vectors) - 1) / 3))
    return TSNE(2, perplexity=perplexity, init="pca", max_iter=500, random_state=SEED).fit_transform(vectors)


def items_in_plane(release: Release, method: str, cache: Path, model: str = TOWERS) -> tuple[np.ndarray, np.ndarray]:
    """Item ids `[N]` and their places `[N, 2]` by `PCA` or `t-SNE`; computed once a release.

    Args:
        cache: folder in which places are kept.
        model: whose vectors, of `Release.vectors`.
    """
    vectors = release.vectors[model]
    ids = np.array(sorted(release.items.values()))
    ids = ids[np.linalg.norm(vectors[ids], axis=1) > 0]
    if len(ids) > MOST_POINTS:
        ids = np.sort(np.random.default_rng(SEED).choice(ids, MOST_POINTS, replace=False))
    words = f"{release.bundle.manifest['digest']} {method} {MOST_POINTS} {model}"
    file = cache / f"{hashlib.sha256(words.encode()).hexdigest()[:24]}.npy"
    if file.is_file():
        return ids, np.load(file)
    places = {"PCA": pca, "t-SNE": tsne}[method](vectors[ids]).astype(np.float32)
    cache.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".part.npy")
    np.save(aside, places)
    aside.replace(file)
    return ids, places


def nearest(release: Release, item_id: int, model: str = TOWERS, k: int = 12) -> dict[int, float]:
    """The k known items whose vectors have the largest cosines with one's, best first, with their cosines."""
    ids = np.array([i for i in release.items.values() if i != item_id])
    vectors, own = release.vectors[model][ids], release.vectors[model][item_id]
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(own)
    cosines = vectors @ own / np.maximum(lengths, 1e-9)
    best = np.argsort(-cosines, kind="stable")[:k]
    return dict(zip(ids[best].tolist(), cosines[best].tolist(), strict=True))


@dataclass(frozen=True)
class Clusters:
    """Groups of users by their vectors.

    Attributes:
        rows: rows of the users in the release's `users`, `[U]`.
        groups: the group of each, the largest being 0.
        places: `[U, 2]` by PCA.
    """

    rows: np.ndarray
    groups: np.ndarray
    places: np.ndarray


def user_clusters(release: Release, number: int) -> Clusters:
    """k-means on the vectors that the user tower gives (Lloyd 1982); the same groups every time."""
    from sklearn.cluster import KMeans

    ids = release.bundle.user_ids
    rows = np.arange(len(ids))
    if len(rows) > MOST_CLUSTERED:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, MOST_CLUSTERED, replace=False))
    vectors = release.bundle.user_vectors(ids[rows])
    found = KMeans(min(number, len(rows)), n_init=4, random_state=SEED).fit_predict(vectors)
    largest_first = np.argsort(-np.bincount(found), kind="stable")
    groups = np.argsort(largest_first)[found]
    return Clusters(rows, groups, pca(vectors))
