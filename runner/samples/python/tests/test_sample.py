import asyncio
import json
import sqlite3
import unittest
from types import SimpleNamespace

import sample
from funcatron import HTTPError


def ctx(method="GET", path=None, query=None, db=None, **more):
    return SimpleNamespace(
        method=method, path_params=path or {}, query_params=query or {}, query=more.pop("raw", {}), props=more.pop("props", {}),
        params={**(path or {}), **(query or {})}, vend=lambda name: {"db": db}[name],
        cancelled=SimpleNamespace(wait=lambda seconds: False), headers=more.pop("headers", {}), request_id="r",
    )


class Sample(unittest.TestCase):
    def test_simple_get(self):
        with self.assertLogs() as logged:
            got = sample.simple_get(ctx(path={"num": 42}, raw={"cool": "yes"}))
        self.assertEqual((got["num-param"], got["query-params"], got["bools"]), (42, {"cool": "yes"}, True))
        self.assertRegex(got["time"], r"^\w{3} \w{3} \d\d \d\d:\d\d:\d\d UTC \d{4}$")
        self.assertTrue(0 <= got["numero"] < 1)
        self.assertIn("In Python 'SimpleGet... yay!", logged.output[0])
        self.assertNotIn("num-param", sample.simple_get(ctx()))

    def test_post_or_delete(self):
        change = lambda method, n: sample.post_or_delete(ctx(method, {"cnt": n}), sample.Data("Ann", 30))  # noqa: E731
        self.assertEqual(change("POST", 2), [sample.Data("Ann1", 31), sample.Data("Ann2", 32)])
        self.assertEqual(change("POST", -1), [])
        self.assertEqual(change("DELETE", 7), sample.Data("Deleted 7", 7))
        self.assertEqual((change("GET", 1).status, change("GET", 1).body), (400, "Expecting a POST or DELETE, but got GET"))

    def test_visits(self):
        db = sqlite3.connect(":memory:")
        visit = lambda name: sample.add_visit(ctx(db=db, query={"sleep": 0}, props={"maxVisits": 2}), sample.Visitor(name))  # noqa: E731
        self.assertEqual([visit(n).body.name for n in ("Ann", "Bob", "Ann")], ["Ann", "Bob", "Ann"])
        with self.assertRaisesRegex(HTTPError, "Ann has visited 2 times already"):
            visit("Ann")
        names = lambda **query: [v.name for v in sample.list_visits(ctx(db=db, query={"limit": 10, **query}))]  # noqa: E731
        self.assertEqual(names()[1:], ["Ann", "Bob", "Ann"])
        self.assertEqual(names(name="Bob", limit=1), ["Bob"])

    def test_status(self):
        for code, body, location in [(200, "status 200", None), (302, "status 302", "/elsewhere"), (204, None, None)]:
            got = sample.status(ctx(path={"code": code}))
            self.assertEqual((got.status, got.body, got.headers.get("Location")), (code, body, location))

    def test_the_document_names_what_is_there(self):
        with open("funcatron.yaml", encoding="utf-8") as file:
            names = {line.split()[1] for line in file if line.strip().startswith("operationId:")}
        self.assertEqual({n for n in names if not callable(getattr(sample, n.partition(".")[2], None))}, set())
        self.assertEqual(json.dumps(asyncio.run(sample.sleep(ctx(path={"ms": 0})))), '{"slept": 0}')


if __name__ == "__main__":
    unittest.main()
