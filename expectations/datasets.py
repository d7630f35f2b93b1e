"""Every dataset of the lake, declared once: name, columns, key, meaning and units.

Suites, Spark `select`s, importers, the lake's schema check and `docs/data-contracts.md` derive from this file.
Standard library and pyarrow only.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import pyarrow as pa

Per = Literal["day", "night"]

TIMESTAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, what it means and its unit (empty where it has none)."""

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    nullable: bool = False


@dataclass(frozen=True)
class Dataset:
    """One dataset: a table with a key, or (no columns) a folder of files such as weights, an index, a page.

    Attributes:
        per: `day`, one artifact a calendar day of the log; `night`, one artifact a run.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    per: Per = "night"
    schema: pa.Schema = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        fields = [pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns]
        object.__setattr__(self, "schema", pa.schema(fields))

    @property
    def is_table(self) -> bool:
        return bool(self.columns)


def _maybe(name: str, type_: pa.DataType, meaning: str, unit: str = "") -> Column:
    return Column(name, type_, meaning, unit, nullable=True)


_USER = Column("user_id", pa.int32(), "dense user id; outside id in id_map")
_ITEM = Column("item_id", pa.int32(), "dense item id; outside id in id_map")
_OUTSIDE_USER = Column("external_user_id", pa.string(), "the user's id in your own systems")
_OUTSIDE_ITEM = Column("external_item_id", pa.string(), "the item's id in your own systems")
_TIME = Column("time", TIMESTAMP, "when it happened", "UTC")
_DEVICE = _maybe("device_type", pa.string(), "tv, mobile, tablet, web")
_PLATFORM = _maybe("platform", pa.string(), "operating system or player")

USERS = Dataset(
    "users",
    "everyone who had signed up by the day, as known on that day",
    (
        _USER,
        _maybe("age", pa.int16(), "age", "years"),
        _maybe("gender", pa.string(), "female, male, other"),
        _maybe("region", pa.string(), "where the account lives"),
        _maybe("lifecycle", pa.string(), "new, active, at_risk, churned"),
        _maybe("engagement_tier", pa.string(), "low, medium, high"),
        _maybe("subscription_type", pa.string(), "free, basic, premium"),
        _maybe("primary_device", pa.string(), "tv, mobile, tablet, web"),
        _maybe("signup_date", pa.date32(), "first day of the account"),
    ),
    key=("user_id",),
)

ITEMS = Dataset(
    "items",
    "everything that could be watched by the day",
    (
        _ITEM,
        _maybe("title", pa.string(), "title"),
        _maybe("genres", pa.list_(pa.string()), "genres, the primary one first"),
        _maybe("content_type", pa.string(), "movie, episode, clip, live"),
        _maybe("series_id", pa.int32(), "series that the episode belongs to"),
        _maybe("season", pa.int16(), "season, from 1"),
        _maybe("episode", pa.int16(), "episode, from 1"),
        _maybe("duration_s", pa.float32(), "length", "s"),
        _maybe("language", pa.string(), "ISO 639-1 code"),
        _maybe("maturity_rating", pa.string(), "all, 7, 13, 16, 18: youngest age allowed"),
        _maybe("content_tier", pa.string(), "free, basic, premium: lowest subscription that may watch"),
        _maybe("available_regions", pa.list_(pa.string()), "regions with rights; null means everywhere"),
        _maybe("creator_id", pa.int32(), "studio or channel"),
        _maybe("uploaded_at", TIMESTAMP, "first moment it could be watched", "UTC"),
        _maybe("available_until", TIMESTAMP, "rights end; null means never", "UTC"),
        _maybe("description", pa.string(), "free text for TF-IDF"),
        _maybe("embedding", pa.list_(pa.float32()), "pretrained text or image vector, if there is one"),
    ),
    key=("item_id",),
)

ID_MAP = Dataset(
    "id_map",
    "dense int32 id of every outside id",
    (
        Column("kind", pa.string(), "user or item"),
        Column("id", pa.int32(), "dense id, from 0"),
        Column("external_id", pa.string(), "id in the user's own systems"),
    ),
    key=("kind", "id"),
)

IMPRESSIONS = Dataset(
    "impressions",
    "every item shown, watched or not",
    (
        Column("request_id", pa.int64(), "one page or rail shown to one user"),
        Column("position", pa.int16(), "place in the request, from 1"),
        _USER,
        _ITEM,
        _TIME,
        _maybe("surface", pa.string(), "home, browse, search, next_up"),
        _DEVICE,
        _PLATFORM,
        _maybe("experiment_id", pa.string(), "running experiment"),
        _maybe("variant", pa.string(), "arm of the experiment"),
        Column("propensity", pa.float32(), "probability with which the logging policy showed the item here"),
    ),
    key=("request_id", "position"),
    per="day",
)

WATCHES = Dataset(
    "watches",
    "every item watched or rated",
    (
        Column("watch_id", pa.int64(), "one playback or rating"),
        _maybe("request_id", pa.int64(), "impression it came from; null when it came from none"),
        _USER,
        _ITEM,
        _TIME,
        _maybe("watch_s", pa.float32(), "seconds watched", "s"),
        _maybe("completion", pa.float32(), "share of the duration watched, 0 to 1"),
        _maybe("rating", pa.float32(), "explicit rating, as given"),
        Column("weight", pa.float32(), "strength of the interaction for implicit models, > 0"),
        Column("positive", pa.bool_(), "counts as liked: trained on as a positive and judged as relevant"),
        _DEVICE,
        _maybe("bitrate_kbps", pa.float32(), "mean bit rate", "kbit/s"),
        _maybe("buffering_s", pa.float32(), "time spent waiting", "s"),
        _maybe("quality_switches", pa.int16(), "changes of quality"),
    ),
    key=("watch_id",),
    per="day",
)

ACTION_KINDS = ("browse", "pause", "rate", "like", "share", "complete")

ACTIONS = Dataset(
    "actions",
    "what else people did with items",
    (
        Column("action_id", pa.int64(), "one action"),
        _USER,
        _maybe("item_id", pa.int32(), "dense item id; null when the action concerns none"),
        _TIME,
        Column("action", pa.string(), ", ".join(ACTION_KINDS)),
        _maybe("value", pa.float32(), "rating given, 1 to 5, for rate"),
        _DEVICE,
    ),
    key=("action_id",),
    per="day",
)

SEARCHES = Dataset(
    "searches",
    "what people typed",
    (
        Column("search_id", pa.int64(), "one search"),
        _USER,
        _TIME,
        Column("query", pa.string(), "text typed"),
        Column("tokens", pa.list_(pa.string()), "lower-case words of the query"),
        _maybe("clicked_item_id", pa.int32(), "result opened"),
        _DEVICE,
    ),
    key=("search_id",),
    per="day",
)

ORACLE = Dataset(
    "oracle",
    "best list for every user under the planted tastes of made data; an upper mark, never an input of a model",
    (
        _USER,
        Column("rank", pa.int16(), "place, from 1"),
        _ITEM,
        Column("score", pa.float32(), "true expected value"),
    ),
    key=("user_id", "rank"),
)

INTERACTIONS = Dataset(
    "interactions",
    "the window's positives, one row a user and item",
    (
        _USER,
        _ITEM,
        Column("num_watches", pa.int32(), "positive watches"),
        Column("watch_s", pa.float32(), "seconds watched, 0 where not known", "s"),
        _maybe("rating", pa.float32(), "last explicit rating"),
        Column("weight", pa.float32(), "sum of weights, decayed to the last day of the window"),
        Column("last_time", TIMESTAMP, "last watch", "UTC"),
    ),
    key=("user_id", "item_id"),
)

HISTORIES = Dataset(
    "histories",
    "what every user watched and searched for in the window, oldest first",
    (
        _USER,
        Column("item_ids", pa.list_(pa.int32()), "last positives, oldest first"),
        Column("times", pa.list_(pa.int64()), "their times", "s since 1970"),
        Column("watch_shares", pa.list_(pa.float32()), "their completion, 1 where not known"),
        Column("seen", pa.list_(pa.int32()), "every item watched or rated, positive or not, ascending"),
        _maybe("searched", pa.list_(pa.string()), "last words searched for, oldest first; null where there are none"),
    ),
    key=("user_id",),
)

USER_FEATURES = Dataset(
    "user_features",
    "what the window says of every user seen in it",
    (
        _USER,
        Column("num_watches", pa.int32(), "watches"),
        Column("num_positives", pa.int32(), "positive watches"),
        Column("num_items", pa.int32(), "distinct items"),
        Column("num_impressions", pa.int32(), "impressions"),
        Column("watch_s", pa.float32(), "seconds watched", "s"),
        Column("mean_completion", pa.float32(), "mean completion, 1 where not known"),
        Column("days_active", pa.int32(), "days with a watch", "days"),
        Column("recency_days", pa.float32(), "days from the last watch to the end of the window", "days"),
        Column("top_genres", pa.list_(pa.string()), "up to five most watched genres, best first"),
        Column("top_genre_shares", pa.list_(pa.float32()), "share of the watches that have them"),
    ),
    key=("user_id",),
)

ITEM_FEATURES = Dataset(
    "item_features",
    "what the window says of every item seen in it",
    (
        _ITEM,
        Column("num_watches", pa.int32(), "watches"),
        Column("num_positives", pa.int32(), "positive watches"),
        Column("num_users", pa.int32(), "distinct users"),
        Column("num_impressions", pa.int32(), "impressions"),
        Column("watch_rate", pa.float32(), "watches from impressions / impressions, shrunk to the mean"),
        Column("watch_s", pa.float32(), "mean seconds a watch", "s"),
        Column("mean_completion", pa.float32(), "mean completion, 1 where not known"),
        Column("recent_watches", pa.float32(), "watches, decayed to the end of the window"),
    ),
    key=("item_id",),
)

EXPOSURES = Dataset(
    "exposures",
    "how often an item was shown to a user and how often that led to a watch, in the last days of the window",
    (
        _USER,
        _ITEM,
        Column("num_shown", pa.int32(), "impressions"),
        Column("num_watched", pa.int32(), "impressions that led to a watch"),
    ),
    key=("user_id", "item_id"),
)

POPULARITY = Dataset(
    "popularity",
    "items by decayed number of positives",
    (
        _ITEM,
        Column("score", pa.float32(), "positives, decayed to the end of the window"),
        Column("num_users", pa.int32(), "distinct users"),
        Column("rank", pa.int32(), "place, from 1; ties by item_id"),
    ),
    key=("item_id",),
)

_FACTORS = Column("factors", pa.list_(pa.float32()), "latent factors, all rows of one length")
ALS_USER_FACTORS = Dataset("als_user_factors", "users of matrix factorisation", (_USER, _FACTORS), key=("user_id",))
ALS_ITEM_FACTORS = Dataset("als_item_factors", "items of matrix factorisation", (_ITEM, _FACTORS), key=("item_id",))

_NEIGHBOURS = (
    _ITEM,
    Column("neighbour_id", pa.int32(), "dense item id of the neighbour"),
    Column("score", pa.float32(), "similarity, larger is closer"),
    Column("rank", pa.int16(), "place among the item's neighbours, from 1"),
)
ITEM_SIMILARITY = Dataset(
    "item_similarity", "nearest items by who watched them", _NEIGHBOURS, key=("item_id", "neighbour_id")
)
CONTENT_SIMILARITY = Dataset(
    "content_similarity", "nearest items by TF-IDF of what they are", _NEIGHBOURS, key=("item_id", "neighbour_id")
)

SOURCE_LISTS = Dataset(
    "source_lists",
    "a model of the catalogue as a source: its best items for every user with a history",
    (
        _USER,
        Column("rank", pa.int16(), "place, from 1"),
        _ITEM,
        Column("score", pa.float32(), "the model's score, larger is better"),
    ),
    key=("user_id", "rank"),
)
SOURCE_NEIGHBOURS = Dataset(
    "source_neighbours",
    "a model of the catalogue as a source: nearest items of each item",
    _NEIGHBOURS,
    key=("item_id", "neighbour_id"),
)
_VECTOR = Column("vector", pa.list_(pa.float32()), "vector; inner products are the model's scores")
SOURCE_USER_VECTORS = Dataset(
    "source_user_vectors",
    "a model of the catalogue as a source: vectors of users with a history",
    (_USER, _VECTOR),
    key=("user_id",),
)
SOURCE_ITEM_VECTORS = Dataset(
    "source_item_vectors",
    "a model of the catalogue as a source: vectors of items",
    (_ITEM, _VECTOR),
    key=("item_id",),
)

TOWERS = Dataset(
    "towers",
    "two-tower model: weights (safetensors), both towers as ONNX, encoders.json, model.json, training_log.json",
)
EMBEDDINGS = Dataset(
    "embeddings",
    "item vectors of the item tower, unit length",
    (
        _ITEM,
        Column("shard", pa.int16(), "shard of the index that holds it, from 0"),
        Column("vector", pa.list_(pa.float32()), "embedding, unit length"),
        _OUTSIDE_ITEM,
    ),
    key=("item_id",),
)
INDEX = Dataset("index", "FAISS shards, index.json (type, search effort, recall and its ladder, tower digest)")
SENTENCES = Dataset(
    "sentences",
    "what every user did in the window, watches, actions and searches alike, as parallel lists, oldest first",
    (
        _USER,
        Column("times", pa.list_(pa.int64()), "when it was done", "s since 1970"),
        Column("actions", pa.list_(pa.string()), "play, browse, search, rate, like, share, complete, pause"),
        Column("item_ids", pa.list_(pa.int32()), "dense item id; -1 where it concerns none"),
        Column("positives", pa.list_(pa.bool_()), "a play that counts as liked"),
        Column("watch_shares", pa.list_(pa.float32()), "completion of a play; -1 where not known"),
        Column("device_types", pa.list_(pa.string()), "tv, mobile, tablet, web; empty where not known"),
        Column("queries", pa.list_(pa.string()), "text typed; empty but for a search"),
    ),
    key=("user_id",),
)
TRANSFORMER = Dataset(
    "transformer",
    "transformer over sentences: weights (safetensors), transformer.onnx, transformer.json, encoders.json, "
    "training_log.json",
)
MEMBER_EMBEDDINGS = Dataset(
    "member_embeddings",
    "what the transformer knows of every user after their sentence; products with title_embeddings say what comes next",
    (_USER, Column("vector", pa.list_(pa.float32()), "member vector"), _OUTSIDE_USER),
    key=("user_id",),
)
TITLE_EMBEDDINGS = Dataset(
    "title_embeddings",
    "item vectors of the transformer",
    (_ITEM, Column("vector", pa.list_(pa.float32()), "title vector"), _OUTSIDE_ITEM),
    key=("item_id",),
)
RANKER = Dataset("ranker", "multi-task ranker: weights (safetensors), ranker.json, training_log.json")
BUNDLE = Dataset("bundle", "everything a consumer needs, in one folder")

RECOMMENDATIONS = Dataset(
    "recommendations",
    "top-K items for every user",
    (
        _USER,
        Column("rank", pa.int16(), "place, from 1"),
        _ITEM,
        Column("score", pa.float32(), "final score, larger is better"),
        Column("source", pa.string(), "retrieval source that ranked it highest"),
        Column("reason", pa.string(), "why, in words for people"),
        _OUTSIDE_USER,
        _OUTSIDE_ITEM,
    ),
    key=("user_id", "rank"),
)

EVALUATION = Dataset(
    "evaluation",
    "figures of every system on the judged days",
    (
        Column("system", pa.string(), "final, each source, random, popularity, oracle, or an ablation 'without ...'"),
        Column("segment", pa.string(), "all, or some users (lifecycle=new) or items (items=head)"),
        Column("metric", pa.string(), "ndcg, recall, ...; docs/evaluation.md defines each"),
        Column("k", pa.int16(), "cut-off; 0 where the metric has none"),
        Column("value", pa.float64(), "value"),
        _maybe("low", pa.float64(), "lower end of the confidence interval (bootstrap over users); null without one"),
        _maybe("high", pa.float64(), "upper end of the confidence interval"),
        Column("num_users", pa.int32(), "users judged"),
        _maybe("p_value", pa.float64(), "of a difference (ndcg_vs_final): how likely one as clear is by chance alone"),
    ),
    key=("system", "segment", "metric", "k"),
)

TRIAL = Dataset(
    "trial",
    "one configuration of a sweep, judged like a night",
    (
        Column("metric", pa.string(), "ndcg, ...; oracle_ndcg, popularity_ndcg, random_ndcg: of others' lists"),
        Column("k", pa.int16(), "cut-off"),
        Column("value", pa.float64(), "mean over users, or the figure of all lists together"),
        _maybe("low", pa.float64(), "lower end of the confidence interval (bootstrap over users); null without one"),
        _maybe("high", pa.float64(), "upper end of the confidence interval"),
        Column("num_users", pa.int32(), "users judged"),
        Column("user_ids", pa.list_(pa.int32()), "users who have a value, ascending; none for a figure of all lists"),
        Column("by_user", pa.list_(pa.float64()), "value of each of them"),
    ),
    key=("metric", "k"),
)

RELEASE = Dataset("release", "release.json: the registered version made from the bundle")
REPORT = Dataset("report", "report.html: the night in one page")

DATASETS: dict[str, Dataset] = {
    d.name: d
    for d in (
        USERS, ITEMS, ID_MAP, IMPRESSIONS, WATCHES, ACTIONS, SEARCHES, ORACLE, INTERACTIONS, HISTORIES,
        USER_FEATURES, ITEM_FEATURES, EXPOSURES, POPULARITY, ALS_USER_FACTORS, ALS_ITEM_FACTORS, ITEM_SIMILARITY,
        CONTENT_SIMILARITY, SOURCE_LISTS, SOURCE_NEIGHBOURS, SOURCE_USER_VECTORS, SOURCE_ITEM_VECTORS, TOWERS,
        EMBEDDINGS, INDEX, SENTENCES, TRANSFORMER, MEMBER_EMBEDDINGS, TITLE_EMBEDDINGS, RANKER, BUNDLE,
        RECOMMENDATIONS, EVALUATION, TRIAL, RELEASE, REPORT,
    )
}  # fmt: skip


@cache
def schema_digest(dataset_name: str) -> str:
    """Digest of all that is declared of a dataset but words, for the keys of the artifacts that have to do with it."""
    dataset = DATASETS[dataset_name]
    columns = [(c.name, str(c.type), c.nullable) for c in dataset.columns]
    content = json.dumps([columns, dataset.key, dataset.per])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
