import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import random
import sys
import unittest
import uuid
from typing import Any, Dict, List, Literal, Optional, Set, Tuple, Union

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from funcatron import convert

try:
    import pydantic
except ImportError:
    pydantic = None


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Leaf:
    n: int
    note: Optional[str] = None


@dataclasses.dataclass
class Tree:
    leaf: Leaf
    children: "List[Tree]" = dataclasses.field(default_factory=list)
    by_name: Dict[str, Leaf] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Positive:
    n: int

    def __post_init__(self):
        if self.n < 1:
            raise ValueError("n is not positive")


class Decode(unittest.TestCase):
    def test_values(self):
        day = datetime.datetime(2026, 12, 9, 20, 31, 31, tzinfo=datetime.timezone.utc)
        for annotation, value, want in [
            (int, 9223372036854775807, 9223372036854775807),
            (int, 7.0, 7),
            (float, 7, 7.0),
            (Any, [1, None], [1, None]),
            (dict, {"a": 1}, {"a": 1}),
            (List[int], [1, 2], [1, 2]),
            (Set[int], [1, 1], {1}),
            (Tuple[int, str], [1, "a"], (1, "a")),
            (Tuple[int, ...], [1, 2, 3], (1, 2, 3)),
            (Dict[str, float], {"a": 1}, {"a": 1.0}),
            (Optional[int], None, None),
            (Union[int, str], "a", "a"),
            (Literal["a", 1], 1, 1),
            (Colour, "red", Colour.RED),
            (datetime.datetime, "2026-12-09T20:31:31Z", day),
            (datetime.date, "2026-12-09", day.date()),
            (uuid.UUID, "12345678123456781234567812345678", uuid.UUID(int=0x12345678123456781234567812345678)),
            (decimal.Decimal, 0.1, decimal.Decimal("0.1")),
            (Leaf, {"n": 1, "more": 2}, Leaf(1)),
            (Tree, {"leaf": {"n": 1}, "children": [{"leaf": {"n": 2}}]}, Tree(Leaf(1), [Tree(Leaf(2))])),
        ]:
            with self.subTest(annotation=annotation, value=value):
                got = convert.decoder_of(annotation)(value, "")
                self.assertEqual(got, want)
                self.assertIs(type(got), type(want))

    def test_mismatches(self):
        for annotation, value, where in [
            (int, "1", "the body: want an integer, not a string"),
            (int, True, "the body: want an integer, not a boolean"),
            (int, 1.5, "the body: want an integer, not a number"),
            (float, 10**400, "the body: want a number that a float can hold"),
            (float, float("inf"), "the body: want a number that a float can hold"),
            (float, True, "the body: want a number, not a boolean"),
            (str, None, "the body: want a string, not null"),
            (List[int], [1, "a"], "[1]: want an integer"),
            (Tuple[int, str], [1], "the body: want an array of 2"),
            (Optional[int], "a", "the body: want an integer, not a string"),
            (Literal["a", "b"], "c", "the body: want one of 'a', 'b'"),
            (Literal[1], True, "the body: want one of 1"),
            (Colour, "green", "the body: want one of 'red'"),
            (datetime.date, "2026-13-09", "the body: want a date"),
            (Leaf, {}, "n: is missing"),
            (Tree, {"leaf": {"n": 1}, "children": [{"leaf": {"n": "x"}}]}, "children[0].leaf.n: want an integer"),
            (Tree, {"leaf": {"n": 1}, "by_name": {"a b": 1}}, "by_name.a b: want an object, not a number"),
            (Positive, {"n": 0}, "the body: n is not positive"),
        ]:
            with self.subTest(annotation=annotation, value=value):
                with self.assertRaises(convert.Mismatch) as raised:
                    convert.decoder_of(annotation)(value, "")
                self.assertIn(where, str(raised.exception))

    @unittest.skipIf(pydantic is None, "pydantic is not installed")
    def test_pydantic(self):
        class Model(pydantic.BaseModel):
            n: int
            name: str = "x"

        decode = convert.decoder_of(List[Model])
        self.assertEqual(convert.to_json(decode([{"n": 1}], "")), b'[{"n":1,"name":"x"}]')
        with self.assertRaises(convert.Mismatch) as raised:
            decode([{"n": "a"}], "")
        self.assertIn("[0].n:", str(raised.exception))


class Encode(unittest.TestCase):
    def test_values(self):
        for value, want in [
            (Tree(Leaf(1)), {"leaf": {"n": 1, "note": None}, "children": [], "by_name": {}}),
            ([Colour.RED, datetime.date(2026, 12, 9), uuid.UUID(int=1)], ["red", "2026-12-09", "00000000-0000-0000-0000-000000000001"]),
            ([decimal.Decimal("9007199254740993"), decimal.Decimal("0.5")], [9007199254740993, 0.5]),
            ({"a": (1, 2), "b": {3}}, {"a": [1, 2], "b": [3]}),
            ("Grüße \u2028 \ud83d", "Grüße \u2028 \ud83d"),
        ]:
            self.assertEqual(json.loads(convert.to_json(value)), want)

    def test_what_json_has_not(self):
        for value in [float("nan"), float("inf"), object(), b"bytes"]:
            with self.assertRaises((ValueError, TypeError)):
                convert.to_json(value)

    def test_any_json_comes_back(self):
        random.seed(5)

        def value(depth):
            kind = random.randrange(8 if depth else 6)
            if kind == 6:
                return [value(depth - 1) for _ in range(random.randrange(4))]
            if kind == 7:
                return {text(): value(depth - 1) for _ in range(random.randrange(4))}
            return [None, True, random.randrange(-(2**63), 2**64), random.uniform(-1e300, 1e300), text(), random.random()][kind]

        def text():
            return "".join(chr(random.choice([random.randrange(128), random.randrange(0x110000)])) for _ in range(random.randrange(8)))

        for _ in range(2000):
            made = value(4)
            self.assertEqual(json.loads(convert.to_json(made)), made)
            self.assertEqual(convert.decoder_of(Any)(made, ""), made)
            for annotation in (Tree, List[Leaf], Optional[int], Dict[str, Colour]):
                try:
                    convert.decoder_of(annotation)(made, "")
                except convert.Mismatch:
                    pass


if __name__ == "__main__":
    unittest.main()
