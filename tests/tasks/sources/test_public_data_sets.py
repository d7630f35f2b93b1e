"""The configs of docs/logs.md read small made files of the shape that each public data set has as it is downloaded."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.sources.config import SourceConfig

PAGE = Path(__file__).parents[3] / "docs" / "logs.md"
CONFIGS: dict[str, dict[str, Any]] = {
    name: yaml.safe_load(block)["source"]
    for name, block in re.findall(
        r"^### (.+?)\n\n```yaml\n(.+?)```", PAGE.read_text().partition("## Public data sets")[2], re.M | re.S
    )
}
EXAMPLES = [b for b in re.findall(r"```yaml\n(.+?)```", PAGE.read_text(), re.S) if "source:" in b]

TIMES = [datetime(2019, 10, 1 + day, hour, 5, 58, tzinfo=UTC) for day in range(4) for hour in (3, 9, 15, 21)]
USERS, ITEMS = 5, 7


def events() -> Iterator[tuple[int, int, datetime, int]]:
    """User, item, time and stars; each pair at another time."""
    for n, time in enumerate(TIMES):
        yield n % USERS, n % ITEMS, time, n % 5 + 1


def lines(*head: str, row: Callable[[int, int, datetime, int], str]) -> str:
    return "".join(f"{line}\n" for line in [*head, *(row(*event) for event in events())])


def seconds(time: datetime) -> int:
    return int(time.timestamp())


def objects(row: Callable[[int, int, datetime, int], dict[str, Any]]) -> str:
    return lines(row=lambda u, i, t, s: json.dumps(row(u, i, t, s)))


def otto() -> str:
    found: dict[int, list[dict[str, Any]]] = {}
    for u, i, t, _ in events():
        found.setdefault(u, []).append({"aid": i, "ts": seconds(t) * 1000, "type": "clicks"})
    return "".join(json.dumps({"session": u, "events": of}) + "\n" for u, of in found.items())


def netflix() -> str:
    found: dict[int, str] = {}
    for u, i, t, s in events():
        found[i] = found.get(i, "") + f"{u},{s},{t:%Y-%m-%d}\n"
    return "".join(f"{i + 1}:\n{of}" for i, of in found.items())


FILES: dict[str, dict[str, str]] = {
    "MovieLens, 100K to 25M": {
        "ml-25m/ratings.csv": lines(
            "userId,movieId,rating,timestamp", row=lambda u, i, t, s: f"{u},{i},{s}.0,{seconds(t)}"
        ),
        "ml-25m/movies.csv": "movieId,title,genres\n" + "".join(f'{i},"Film, {i}",Drama|Noir\n' for i in range(ITEMS)),
    },
    "MovieLens from RecBole": {
        "ml-100k/ml-100k.inter": lines(
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            row=lambda u, i, t, s: f"{u}\t{i}\t{s}\t{seconds(t)}",
        ),
        "ml-100k/ml-100k.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        + "".join(f"{i}\tFilm {i}\t1995\tAnimation Comedy\n" for i in range(ITEMS)),
    },
    "Last.fm 1K": {
        "userid-timestamp-artid-artname-traid-traname.tsv": lines(
            "user_000001\t2019-10-02T00:00:01Z\ta\tArtist\t\tNo id",
            row=lambda u, i, t, s: (
                f"user_{u}\t{t:%Y-%m-%dT%H:%M:%SZ}\ta{i}\tArtist\tt{i}\t" + ('"Heroes' if i == 3 else "x")
            ),
        ),
        "userid-profile.tsv": "#id\tgender\tage\tcountry\tregistered\nuser_1\tf\t\tJapan\tAug 13, 2006\n",
    },
    "Retailrocket": {
        "events.csv": lines(
            "timestamp,visitorid,event,itemid,transactionid", row=lambda u, i, t, s: f"{seconds(t)}000,{u},view,{i},"
        )
    },
    "Yoochoose": {"yoochoose-clicks.dat": lines(row=lambda u, i, t, s: f"{u},{t:%Y-%m-%dT%H:%M:%S}.277Z,{i},0")},
    "REES46": {
        "ecommerce/2019-Oct.csv": lines(
            "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session",
            row=lambda u, i, t, s: f"{t:%Y-%m-%d %H:%M:%S} UTC,view,{i},2,,shiseido,35.79,{u},72d76fde",
        )
    },
    "Taobao UserBehavior": {
        "UserBehavior.csv": lines("1,2,3,pv,-2134949234", row=lambda u, i, t, s: f"{u},{i},4,pv,{seconds(t)}")
    },
    "Steam reviews": {
        "steam_reviews.json.gz": lines(
            row=lambda u, i, t, s: repr(
                {"username": f"Chaos {u}", "product_id": str(i), "date": f"{t:%Y-%m-%d}", "text": 'a "b"'}
            )
        )
    },
    "Amazon reviews 2023": {
        "All_Beauty.jsonl.gz": objects(
            lambda u, i, t, s: {
                "rating": float(s),
                "title": "x\ny",
                "images": [],
                "asin": f"B{i}",
                "parent_asin": f"B{i}",
                "user_id": f"AF{u}",
                "timestamp": seconds(t) * 1000,
            }
        ),
        "meta_All_Beauty.jsonl.gz": "".join(
            json.dumps({"main_category": "All Beauty", "title": f"T{i}", "parent_asin": f"B{i}"}) + "\n"
            for i in range(ITEMS)
        ),
    },
    "Amazon ratings 2014 and 2018": {
        "ratings_Beauty.csv": lines(row=lambda u, i, t, s: f"A{u},B{i},{s}.0,{seconds(t)}")
    },
    "Yelp": {
        "yelp_academic_dataset_review.json": objects(
            lambda u, i, t, s: {
                "review_id": "x",
                "user_id": f"u{u}",
                "business_id": f"b{i}",
                "stars": float(s),
                "text": "\n",
                "date": f"{t:%Y-%m-%d %H:%M:%S}",
            }
        ),
        "yelp_academic_dataset_business.json": "".join(
            json.dumps({"business_id": f"b{i}", "name": "N", "categories": "Tea, Food", "hours": None}) + "\n"
            for i in range(ITEMS)
        ),
    },
    "Goodreads": {
        "goodreads_interactions_fantasy.json.gz": objects(
            lambda u, i, t, s: {
                "user_id": f"{u}",
                "book_id": f"{i}",
                "is_read": True,
                "rating": 0,
                "date_added": f"{t:%a %b %d %H:%M:%S} -0000 {t:%Y}",
            }
        )
    },
    "KuaiRec": {
        "big_matrix.csv": lines(
            "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio",
            "1,2,3,4,,,,1.2",
            row=lambda u, i, t, s: f"{u},{i},9,9,x,20191001,{seconds(t)}.438,{s}.5",
        ),
        "item_categories.csv": "video_id,feat\n" + "".join(f'{i},"[8, 12]"\n' for i in range(ITEMS)),
    },
    "KuaiRand": {
        "logs/log_standard_4_08_to_4_21_1k.csv": lines(
            "user_id,video_id,date,hourmin,time_ms,is_click",
            row=lambda u, i, t, s: f"{u},{i},20191001,300,{seconds(t)}123,1",
        )
    },
    "OTTO": {"otto-recsys-train.jsonl": otto()},
    "H&M": {
        "transactions_train.csv": lines(
            "t_dat,customer_id,article_id,price,sales_channel_id",
            row=lambda u, i, t, s: f"{t:%Y-%m-%d},c{u},066371300{i},0.05,2",
        ),
        "articles.csv": "article_id,product_code,prod_name\n"
        + "".join(f'066371300{i},1,"Top, ""x"""\n' for i in range(ITEMS)),
        "customers.csv": "customer_id,FN,Active,age\nc0,,,33\nc1,1,1,\n",
    },
    "Netflix Prize": {"combined_data_1.txt": netflix()},
    "Gowalla": {
        "loc-gowalla_totalCheckins.txt.gz": lines(
            row=lambda u, i, t, s: f"{u}\t{t:%Y-%m-%dT%H:%M:%SZ}\t30.23\t-97.79\t{i}"
        )
    },
    "MIND": {
        "MINDsmall_train/behaviors.tsv": lines(
            row=lambda u, i, t, s: f"1\tU{u}\t{t:%m/%d/%Y %I:%M:%S %p}\tN90\tN{(i + 1) % ITEMS}-0 N{i}-1"
        ),
        "MINDsmall_train/news.tsv": "".join(
            f'N{i}\tnews\tworld\t"Up" {i}\tText\thttps://x\t[]\t[]\n' for i in range(ITEMS)
        ),
    },
    "Diginetica": {
        "train-item-views.csv": lines(
            "sessionId;userId;itemId;timeframe;eventdate", row=lambda u, i, t, s: f"{u};NA;{i};526309;{t:%Y-%m-%d}"
        )
    },
}


def test_every_config_of_the_page_has_a_made_file():
    assert len(CONFIGS) > 15 and set(CONFIGS) == set(FILES)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_config_of_a_public_data_set_reads_it(name, tmp_path, monkeypatch, look):
    for file, text in FILES[name].items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if file.endswith(".gz") else text.encode())
    monkeypatch.chdir(tmp_path)
    scan = look(SourceConfig(**CONFIGS[name]))
    assert (scan.num_users, scan.num_items, len(scan.days)) == (USERS, ITEMS, 4)
    assert sum(scan.rows.values()) == len(TIMES)


@pytest.mark.parametrize("block", EXAMPLES)
def test_every_example_of_the_page_is_a_source(block):
    SourceConfig(**yaml.safe_load(block)["source"])
