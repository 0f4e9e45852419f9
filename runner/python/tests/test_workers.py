import pathlib
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from funcatron.host import Job, Workers


class Loop:
    """Keeps what is to be called later; the test calls it."""

    def __init__(self):
        self.later = []

    def call_later(self, _, call):
        self.later.append(call)

    def look(self):
        self.later.pop()()


class Policy(unittest.TestCase):
    def setUp(self):
        self.loop = Loop()
        self.go_on = threading.Event()
        self.started = []
        self.lock = threading.Lock()
        self.addCleanup(self.go_on.set)

    def run_job(self, job):
        with self.lock:
            self.started.append((job, threading.current_thread()))
        self.go_on.wait(20)

    def until(self, there):
        end = time.monotonic() + 20
        while not there():
            self.assertLess(time.monotonic(), end)
            threading.Event().wait(0.001)

    def submit(self, workers, n):
        jobs = [Job(None, None, None) for _ in range(n)]
        for job in jobs:
            workers.submit(job)
        return jobs

    def waiting(self, most):
        """Workers of which one waits in its function, while three jobs want a thread."""
        workers = Workers(most, self.run_job, self.loop)
        self.submit(workers, 4)
        self.until(lambda: len(self.started) == 1)
        return workers

    def test_one_is_awake_until_somebody_looks(self):
        workers = self.waiting(8)
        self.assertEqual((workers.awake, len(self.loop.later)), (1, 1))

    def test_more_wake_where_the_processor_is_idle(self):
        workers = self.waiting(8)
        workers.done = 5  # others get on
        began, spent = workers.seen
        self.until(lambda: time.monotonic() - began > 4 * (time.process_time() - spent) + 0.01)
        self.loop.look()
        self.until(lambda: len(self.started) == 4)

    def test_none_wakes_where_others_compute(self):
        workers = self.waiting(8)
        workers.done = 5
        workers.seen = (time.monotonic(), time.process_time() - 1)
        self.loop.look()
        self.assertEqual((workers.awake, len(self.loop.later)), (1, 1))

    def test_more_wake_where_nothing_gets_done(self):
        workers = self.waiting(8)
        for awake in (2, 4):
            workers.seen = (time.monotonic(), time.process_time() - 1)
            self.loop.look()
            self.until(lambda: len(self.started) == awake)

    def test_no_more_than_there_may_be(self):
        workers = self.waiting(2)
        for _ in range(3):
            workers.done = 0
            self.loop.look()
        self.until(lambda: len(self.started) == 2)
        self.assertEqual((workers.awake, len(workers.jobs)), (2, 2))
        self.go_on.set()
        self.until(lambda: len(self.started) == 4 and workers.awake == 0)

    def test_a_lost_thread_is_replaced_and_ends(self):
        workers = self.waiting(1)
        lost, thread = self.started[0]
        workers.lose(lost)
        self.until(lambda: len(self.started) == 2)
        workers.lose(workers.jobs[0])  # whose time is over before it ran: no thread is lost
        self.assertEqual(workers.awake, 1)
        self.go_on.set()
        thread.join(20)
        self.assertFalse(thread.is_alive())
        self.until(lambda: len(self.started) == 4 and workers.awake == 0)
        self.assertEqual(len({t for _, t in self.started}), 2)


if __name__ == "__main__":
    unittest.main()
