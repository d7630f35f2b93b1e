"""Genres in every way that people write them."""

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.sources.word_lists import as_word_lists, separator_of

TWO = ["Drama", "Sci-Fi"]
WRITTEN = {
    "separators": "Drama| Sci-Fi ||Drama",
    "JSON": '["Drama", "Sci-Fi"]',
    "JSON of structs": '[{"id": 18, "name": "Drama"}, {"id": 9, "name": "Sci-Fi"}]',
    "JSON, nested": '[["Drama"], ["Sci-Fi", null, ""]]',
    "JSON, ids to names": '{"/m/1": "Drama", "/m/2": "Sci-Fi"}',
    "JSON, names to weights": '{"Drama": 5, "Sci-Fi": 1}',
    "Python": "['Drama', 'Sci-Fi']",
    "Python of structs": "[{'id': '1', 'description': 'Drama'}, {'id': '2', 'description': 'Sci-Fi'}]",
    "Python tuple": "('Drama', 'Sci-Fi')",
    "numpy": "['Drama' 'Sci-Fi']",
    "bare words": "[Drama, Sci-Fi]",
    "PostgreSQL": '{Drama,"Sci-Fi"}',
    "PostgreSQL, with quotes": r'{"\D\rama",Sci-Fi}',
}
STORED = {
    "list": pa.array([["Drama", "Sci-Fi"]]),
    "padded": pa.array([["", " Drama", None, "Sci-Fi ", "Drama"]]),
    "large_list": pa.array([TWO], pa.large_list(pa.large_string())),
    "fixed_size_list": pa.array([TWO], pa.list_(pa.string(), 2)),
    "list of categories": pa.array([TWO], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
    "list of structs": pa.array([[{"id": 18, "name": "Drama"}, {"id": 9, "name": "Sci-Fi"}]]),
    "list of bytes": pa.array([[b"Drama", b"Sci-Fi"]]),
    "nested": pa.array([[["Drama"], ["Sci-Fi"]]]),
    "map": pa.array([[("a", "Drama"), ("b", "Sci-Fi")]], pa.map_(pa.string(), pa.string())),
    "category": pa.array(["Drama|Sci-Fi"]).dictionary_encode(),
    "view": pa.array(["Drama|Sci-Fi"], pa.string_view()),
}


@pytest.mark.parametrize("name", [*WRITTEN, *STORED])
def test_two_genres_in_every_way(name):
    values = pa.array([WRITTEN[name]]) if name in WRITTEN else STORED[name]
    assert as_word_lists(values, "|", "genres").to_pylist() == [TWO]


@pytest.mark.parametrize(
    "values", [pa.array([[18, 35]]), pa.array(["[18, 35]"]), pa.array([[18.0, 35.0]]), pa.array(["[18 35]"])]
)
def test_numbers_are_words(values):
    assert as_word_lists(values, "|", "genres").to_pylist() == [["18", "35"]]


@given(
    st.lists(st.text(st.sampled_from("ab\n\r\u2028"), min_size=1), min_size=1),
    st.text(st.sampled_from(", ;|'\n\r\t"), min_size=1, max_size=3).filter(str.strip) | st.sampled_from("\n\r\t"),
    st.sampled_from(["{}", "[]"]),
)
def test_bare_words_in_brackets_are_parted_by_every_separator(words, separator, brackets):
    words = [word.strip() for word in words if word.strip() and separator not in word] or ["a"]
    text = brackets[0] + separator.join(words) + brackets[1]
    found = as_word_lists(pa.array([text]), separator, "genres").to_pylist()
    assert len(words) == 1 or found == [list(dict.fromkeys(words))]


def test_no_genre_is_none():
    for text in ("", "[]", "(no genres listed)", "|", "[None]", "unknown", None):
        assert as_word_lists(pa.array([text], pa.string()), "|", "genres").to_pylist() == [None]


def test_hostile_text_is_text():
    for text in ("[" * 100_000 + "]", "{" * 5000 + "}", "[__import__('os')]", "[1e999]", "[\0]", "(((", "[}"):
        (words,) = as_word_lists(pa.array([text]), "|", "genres").to_pylist()
        assert words is None or all(isinstance(word, str) for word in words)


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=2).map(lambda w: f"x{w}"), unique=True))
def test_json_and_lists_say_the_same(words):
    both = [pa.array([words], pa.list_(pa.string())), pa.array([json.dumps(words)]), pa.array([repr(words)])]
    for values in both:
        assert as_word_lists(values, "|", "genres").to_pylist() == [words or None]


def test_separators_are_found_where_words_recur():
    lists = ["Drama, Comedy", "Comedy", "Drama", "Noir, Drama", "Noir"]
    assert separator_of([pa.array(lists)], "genres") == ","
    assert separator_of([pa.array([*lists, "Noir|Drama"])], "genres") == "|", "the usual one, where it occurs"
    whole = ["Arts, Film & Photography", "Business, Finance & Law", "Crime", "Health"]
    assert separator_of([pa.array(whole)], "genres") == "|"
    assert separator_of([pa.array(["a;b", "b;c", "a;c"]), pa.array(["a"])], "genres") == ";"
