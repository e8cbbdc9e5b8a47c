"""Types: what is accepted, what is refused and how the refusal reads; texts and JSON there and back."""

import json
import math
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amoc.config.convert import Count, check_plain, check_type, convert, describe, from_text, plain, type_name

INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
COUNTS = st.integers(0, 2**63) | st.just(math.inf)

KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, INTS),
    (float, FLOATS),
    (bool, st.booleans()),
    (str, TEXTS),
    (Count, COUNTS),
    (list[int], st.lists(INTS)),
    (list[str], st.lists(TEXTS)),
    (dict[str, int], st.dictionaries(TEXTS, INTS)),
    (dict[str, list[str]], st.dictionaries(TEXTS, st.lists(TEXTS))),
    (int | None, st.none() | INTS),
    (str | None, st.none() | TEXTS),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
    (list, st.lists(INTS | TEXTS)),
]

kinds_with_values = st.sampled_from(KINDS).flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1]))


@given(kinds_with_values)
def test_a_value_of_the_type_stays_as_it_is(pair: tuple[Any, Any]) -> None:
    kind, value = pair
    converted = convert(kind, value)
    assert converted == value
    assert type(converted) is type(value)


@given(kinds_with_values)
def test_json_text_gives_the_value_back(pair: tuple[Any, Any]) -> None:
    kind, value = pair
    assert from_text(kind, json.dumps(plain(value))) == value


@given(kinds_with_values)
def test_plain_values_survive_json_and_conversion(pair: tuple[Any, Any]) -> None:
    kind, value = pair
    assert convert(kind, json.loads(json.dumps(plain(value), allow_nan=False))) == value


@given(TEXTS)
def test_text_that_is_no_json_string_stands_for_itself(text: str) -> None:
    try:
        if isinstance(json.loads(text), str):
            return
    except ValueError:
        pass
    assert from_text(str, text) == text


@given(TEXTS)
def test_a_text_from_python_is_never_parsed_for_a_text_setting(text: str) -> None:
    assert convert(str, text) == text


@given(kinds_with_values, kinds_with_values)
def test_any_value_for_any_type_is_converted_or_refused_in_one_line(
    wanted: tuple[Any, Any], other: tuple[Any, Any]
) -> None:
    refusal = ""
    try:
        check_plain(convert(wanted[0], other[1]))
    except ValueError as error:
        refusal = str(error)
    assert not refusal or refusal.startswith("expected ")
    assert "\n" not in refusal


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Count, "infinity", math.inf),
        (Count, "Infinity", math.inf),
        (float, "inf", math.inf),
        (str, "infinity", "infinity"),
        (Count, " 7 ", 7),
        (float, "5", 5.0),
        (float, "1e3", 1000.0),
        (str, "123", "123"),
        (str, "true", "true"),
        (str, "null", "null"),
        (str | None, "null", None),
        (str | None, "5", "5"),
        (int | str, "5", 5),
        (str, '"quoted"', "quoted"),
        (str, "", ""),
        (str, "{not json", "{not json"),
        (bool, "yes", True),
        (bool, "Off", False),
        (bool, "1", True),
        (bool, "0", False),
        (list[str], "a:5222 b, c", ["a:5222", "b", "c"]),
        (list[str], "1 2", ["1", "2"]),
        (list[str], '["a b"]', ["a b"]),
        (list[str], "", []),
        (list[int], "1,2", [1, 2]),
        (list[int] | None, "3", [3]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
    ],
)
def test_texts_of_the_environment(kind: Any, text: str, value: Any) -> None:
    converted = from_text(kind, text)
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, "abc", "a whole number"),
        (int, True, "a whole number"),
        (int, 5.5, "a whole number"),
        (int, "infinity", "a whole number"),
        (int, 2**64, "64 bits"),
        (int, None, "a whole number"),
        (float, "fast", "a number"),
        (float, math.nan, "a number"),
        (float, True, "a number"),
        (bool, 1, "true or false"),
        (bool, "maybe", "true or false"),
        (str, 5, "text"),
        (str, b"bytes", "text"),
        (str, "\udcff", "text"),
        (Count, -1, "a whole number >= 0 or infinity"),
        (Count, 1.5, "a whole number >= 0 or infinity"),
        (Count, True, "a whole number >= 0 or infinity"),
        (Count, -math.inf, "a whole number >= 0 or infinity"),
        (Count, "1 2", "a whole number >= 0 or infinity"),
        (list[int], [1, "a"], "a list (each item a whole number)"),
        (list[int], "1 a", "a list (each item a whole number)"),
        (dict[str, int], [1], "a table (each value a whole number)"),
        (Literal["a", "b"], "c", "one of a, b"),
        (int | None, "none", "a whole number or null"),
        (list, [object()], "a list"),
        (dict, {1: 2}, "a table"),
    ],
)
def test_wrong_values_say_what_was_expected_and_what_was_given(kind: Any, value: Any, expected: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        convert(kind, value)
    assert expected in str(caught.value)
    assert ", got " in str(caught.value) or "NaN" in str(caught.value)


def test_the_place_of_a_wrong_item_is_told() -> None:
    with pytest.raises(ValueError, match=r"\(at \[2\]\)"):
        convert(list[int], [1, 2, "x"])


def test_a_long_or_broken_value_stays_one_short_line() -> None:
    with pytest.raises(ValueError, match="whole number") as caught:
        convert(int, "line\n" * 10_000)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 100_000, "9" * 5000, '"\\ud800"'])
def test_hostile_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        from_text(dict[str, int], text)


def test_tuples_become_lists() -> None:
    assert convert(list[int], (1, 2)) == [1, 2]
    assert plain((1, math.inf)) == [1, "infinity"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(int, "int"), (list[str], "list[str]"), (Count, "Count"), (int | None, "int | None"), (list, "list")],
)
def test_type_names_are_written_as_in_python(kind: Any, name: str) -> None:
    check_type(kind)
    assert type_name(kind) == name
    assert describe(kind)


@pytest.mark.parametrize("kind", [set, bytes, object, list[set[int]], dict[int, str], "int", Count | None, 5])
def test_types_that_no_setting_can_have(kind: Any) -> None:
    with pytest.raises(ValueError, match="type"):
        check_type(kind)
