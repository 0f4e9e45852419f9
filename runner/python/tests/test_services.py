"""The database service with a driver that writes down what it is told."""

import logging
import pathlib
import sys
import threading
import types
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from funcatron import services


class Driver(types.ModuleType):
    def __init__(self, name):
        super().__init__(name)
        self.opened = []
        self.told = []

    def connect(self, **options):
        self.told.append(options)
        self.opened.append(Connection())
        return self.opened[-1]


class Connection:
    def __init__(self):
        self.told = []
        self.dead = False
        self.fails = False

    def cursor(self):
        return self

    def execute(self, text):
        self.told.append(text)
        if self.dead:
            raise OSError("the server is gone")

    def commit(self):
        self.told.append("commit")
        if self.fails:
            raise OSError("no commit")

    def rollback(self):
        self.told.append("rollback")

    def close(self):
        self.told.append("close")


class Request:
    def __init__(self, left=10.0):
        self.left = left

    def remaining(self):
        return self.left


class Database(unittest.TestCase):
    def open(self, url="postgresql://ann:p%40ss@db.test:5433/visits?sslmode=require", name="psycopg", **props):
        self.driver = Driver(name)
        # None stands for a module that is not there.
        modules = {**dict.fromkeys(("psycopg", "psycopg2", "pg8000.dbapi", "pymysql", "MySQLdb")), name: self.driver}
        if "." in name:
            modules[name.partition(".")[0]] = types.ModuleType(name.partition(".")[0])
        patch = mock.patch.dict(sys.modules, modules)
        patch.start()
        self.addCleanup(patch.stop)
        return services.Database("db", {"url": url, **props}, logging.getLogger())

    def test_what_the_driver_is_given(self):
        login = {"user": "ann", "password": "p@ss", "host": "db.test"}
        for name, url, props, want in [
            ("psycopg", "postgresql://ann:p%40ss@db.test:5433/visits?sslmode=require", {}, {**login, "port": 5433, "dbname": "visits", "sslmode": "require"}),
            ("psycopg2", "postgres://db.test/visits", {"username": "ann", "password": "p@ss"}, {**login, "port": 5432, "dbname": "visits"}),
            ("pg8000.dbapi", "postgresql://ann:p%40ss@db.test/visits", {}, {**login, "port": 5432, "database": "visits"}),
            ("pymysql", "mysql://ann:p%40ss@db.test/visits", {}, {**login, "port": 3306, "database": "visits", "charset": "utf8mb4"}),
        ]:
            with self.subTest(name):
                self.open(url, name, **props).vend(Request())
                self.assertEqual(self.driver.told, [want])

    def test_none_is_installed(self):
        with self.assertRaisesRegex(ValueError, "none of its drivers is installed: psycopg, psycopg2, pg8000.dbapi; name one in requirements.txt"):
            self.open(name="else")

    def test_commit_and_rollback(self):
        db = self.open()
        for success, word in [(True, "commit"), (False, "rollback")]:
            c = db.vend(Request())
            db.release(c, success)
            self.assertEqual(c.told[-1], word)
        self.assertEqual(len(self.driver.opened), 1)
        db.close()
        self.assertEqual(c.told[-1], "close")

    def test_a_connection_that_fails_is_not_used_again(self):
        db = self.open(maxConnections=1)
        c = db.vend(Request())
        c.fails = True
        with self.assertRaises(OSError):
            db.release(c, True)
        self.assertEqual(c.told[-1], "close")
        self.assertIsNot(db.vend(Request()), c)

    def test_a_server_that_was_gone_meanwhile(self):
        db = self.open()
        held = [db.vend(Request()) for _ in range(3)]
        for c in held:
            db.release(c, True)
        held[1].dead = held[2].dead = True
        with mock.patch.object(services, "TRUSTED", 0):
            self.assertIs(db.vend(Request()), held[0])
        self.assertEqual([c.told[-1] for c in held], ["rollback", "close", "close"])
        self.assertEqual(len(self.driver.opened), 3)

    def test_no_more_than_there_may_be(self):
        db = self.open(maxConnections=1)
        c = db.vend(Request())
        with self.assertRaisesRegex(TimeoutError, "in use"):
            db.vend(Request(0.01))
        got = []
        t = threading.Thread(target=lambda: got.append(db.vend(Request())))
        t.start()
        db.release(c, True)
        t.join(20)
        self.assertEqual(got, [c])


if __name__ == "__main__":
    unittest.main()
