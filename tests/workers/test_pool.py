"""Both pools: results, deaths, deadlines, memory, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PluginLoadError, WorkersError
from pipeline.fetch.loop import Loop
from pipeline.model import PackedPage, PageJob
from pipeline.workers.caller import Caller
from pipeline.workers.inline import InlinePool
from pipeline.workers.pool import WorkerPool
from pipeline.workers.process import start_process

JOBS = '''
"""Jobs for the pool's tests. A worker answers with what the path asks for."""
import os, subprocess, sys, time, threading
from pathlib import Path
import msgspec
from pipeline.model import PackedPage, PageJob
from pipeline.workers import notes

def answer(setup):
    folder = Path(setup.decode())
    def work(data):
        job = msgspec.msgpack.decode(data, type=PageJob)
        word, _, rest = job.url.rpartition("/")[2].partition("-")
        if word == "once" and not (folder / rest).exists():
            (folder / rest).write_text("")
            os._exit(1)
        if word == "die":
            os._exit(int(rest))
        if word == "idle":  # dies when the page is done
            threading.Timer(0.03, os._exit, (1,)).start()
        if word == "grow":
            kept.append(b"x" * int(rest) * 2**20)
        if word == "hog":
            kept.append(b"x" * int(rest) * 2**20)
            time.sleep(60)
        if word == "sleep":
            time.sleep(float(rest))
        if word == "big":
            return msgspec.msgpack.encode(PackedPage(items=b"x" * int(rest)))
        if word == "fade":  # as a process whose memory takes long to give back, or to dump
            os.closerange(3, 4096)
            time.sleep(0.2)
            os.kill(os.getpid(), int(rest))
        if word == "leave":  # programs that leave the worker's group, or its parent
            subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
            subprocess.Popen(["/bin/sh", "-c", "sleep 60 & sleep 60"])
            os.system("sleep 60 &")
            if os.fork() == 0:
                time.sleep(60)
        if word == "bug":
            raise RuntimeError("a bug")
        if word == "spoil":  # as a plugin that breaks what the framework needs after it
            notes.here()[:] = notes.label("pl", "parse")
            raise TypeError("spoilt")
        with open(folder / "order", "a") as file:
            print(os.getpid(), job.url, file=file)
        return msgspec.msgpack.encode(PackedPage(extracted=len(job.body), refresh=str(os.getpid())))
    return work

kept = []

def broken(setup):
    raise ValueError("the setup is broken")

def wrong(setup):
    from pipeline.errors import ConfigError, Mark, Problem
    raise ConfigError([Problem(Mark("shop.yaml", 3, 5), "plugins.0", "no such file", "look")])

def dying(setup):
    os._exit(9)

def slow(setup):
    time.sleep(60)

def echo(setup):
    return lambda data: b"%d " % os.getpid() + setup + bytes(data)

def fat(setup):
    kept.append(b"x" * 300 * 2**20)
    return answer(setup)

def environment(setup):
    def work(data):
        facts = {
            "cwd": os.getcwd(), "variable": os.environ.get("HOOKLINE_TEST"), "path": sys.path, "argv": sys.argv,
            "safe": sys.flags.safe_path, "stdin": sys.stdin.read(),
            "open": sorted(os.readlink(f"/proc/self/fd/{fd}").partition(":")[0] for fd in os.listdir("/proc/self/fd")
                           if int(fd) > 2 and os.path.exists(f"/proc/self/fd/{fd}") or int(fd) >= 400),
        }
        return msgspec.msgpack.encode(PackedPage(refresh=msgspec.json.encode(facts).decode()))
    return work
'''


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crew: Any) -> Callable[..., Any]:
    """`pool(function="answer", **settings)`: a crew whose workers run a function of JOBS."""
    (tmp_path / "pool_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    # The setup of these jobs is a folder.
    monkeypatch.setattr("pipeline.stages.worker.WorkerSetup.encode", lambda self: str(tmp_path).encode())
    return lambda function="answer", **settings: crew(job=f"pool_jobs:{function}", **settings)


def url(path: str) -> str:
    return f"http://shop.example/{path}"


# --- inline ----------------------------------------------------------------------------------------------------------


def test_inline_results_come_in_order_with_their_tokens(job: Callable[[str], PageJob]) -> None:
    pool = InlinePool(lambda job: PackedPage(extracted=len(job.url)))
    pool.start()
    pool.submit("a", job("x"))
    pool.submit(7, job("xyz"))
    assert [(token, result.extracted) for token, result in pool.done] == [("a", len(url("x"))), (7, len(url("xyz")))]
    assert (pool.waiting_bytes, pool.busy, pool.error) == (0, 0, None)


def test_a_closed_inline_pool_keeps_results_and_takes_no_jobs(job: Callable[[str], PageJob]) -> None:
    pool = InlinePool(lambda job: PackedPage())
    pool.submit(None, job("x"))
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(None, job("y"))
    assert len(pool.done) == 1


def test_a_bug_of_the_framework_is_not_hidden_inline(job: Callable[[str], PageJob]) -> None:
    def broken(job: PageJob) -> PackedPage:
        raise AssertionError("a bug")

    pool = InlinePool(broken)
    with pytest.raises(AssertionError, match="a bug"):
        pool.submit(None, job("x"))
    assert not pool.done


# --- jobs and answers ------------------------------------------------------------------------------------------------


def test_every_job_is_answered_once(pool: Any, job: Any) -> None:
    one = pool(processes=2)
    paths = [f"p{number}" for number in range(300)]
    results = one.run(map(job, paths))
    assert {url(path): len(job(path).body) for path in paths} == {at: page.extracted for at, page in results.items()}
    assert one.pool.counts == {"started": 2}
    assert (one.pool.busy, one.pool.waiting_bytes, one.pool.error) == (0, 0, None)


def test_one_page_starts_one_worker(pool: Any, job: Any) -> None:
    one = pool(processes=8)
    one.pool.start()
    one.pool.start()
    one.run([job("a")])
    assert one.pool.counts == {"started": 1}


def test_nothing_is_started_before_it_is_wanted_and_the_loop_sleeps(pool: Any) -> None:
    one = pool(processes=2)
    one.loop.call_later(0.05, one.loop.stop)
    one.loop.run()
    assert not one.pool.counts


def test_bodies_larger_than_a_socket_buffer_go_both_ways(pool: Any, job: Any) -> None:
    one = pool(processes=2)
    jobs = [job(f"big-{size}") for size in (5_000_000, 1, 300_000, 12_000_000)]
    for number, large in enumerate(jobs):
        large.body = bytes([number]) * 3_000_000
    one.pool.submit("x", jobs[0])
    assert one.pool.waiting_bytes == 3_000_000
    results = one.run(jobs[1:])
    assert {at: len(page.items) for at, page in results.items() if at != "x"} == {
        url("big-1"): 1,
        url("big-300000"): 300_000,
        url("big-12000000"): 12_000_000,
    }
    assert len(results["x"].items) == 5_000_000


def test_a_full_channel_makes_nobody_spin(pool: Any, job: Any) -> None:
    """While a worker sleeps on a page and its channel is full, the parent has nothing to do."""
    one = pool(processes=1)
    first, second = job("sleep-0.6"), job("b")
    second.body = bytes(4_000_000)
    one.run([job("warm")])
    before = time.process_time()
    one.run([first, second])
    assert time.process_time() - before < 0.2


def test_slow_pages_do_not_wait_for_one_worker(pool: Any, job: Any) -> None:
    one = pool(processes=2, in_flight=8)
    one.run([job(f"sleep-0.2{number}") for number in range(1, 3)])
    for number in range(10):
        one.pool.submit(number, job(f"sleep-0.0{number}"))
    assert sorted(len(worker.flight) for worker in one.pool._workers) == [2, 2]
    one.run([])
    one.run(job(f"p{number}") for number in range(60))
    for number in range(10):
        one.pool.submit(number, job(f"q{number}"))
    assert sorted(len(worker.flight) for worker in one.pool._workers) == [5, 5]
    one.run([])


def test_an_answer_over_the_limit_is_a_fault(pool: Any, job: Any) -> None:
    one = pool(processes=1, most_bytes=100_000)
    results = one.run([job("a"), job("big-200000"), job("b")])
    fault = results[url("big-200000")].fault
    assert fault is not None and "at most 100,000" in fault.message
    assert results[url("a")].fault is None and results[url("b")].fault is None


def test_a_closed_pool_takes_no_jobs_and_leaves_no_process(pool: Any, job: Any) -> None:
    one = pool(processes=2)
    one.run([job("a")])
    for path in ("sleep-60", "b", "sleep-60"):
        one.pool.submit(path, job(path))
    begun = time.monotonic()
    one.pool.close()
    one.pool.close()
    assert time.monotonic() - begun < 3
    assert (one.pool.busy, one.pool.waiting_bytes) == (0, 0)
    with pytest.raises(RuntimeError, match="closed"):
        one.pool.submit(None, job("y"))


def test_a_process_that_is_free_can_be_told_to_do_something_else(pool: Any, job: Any) -> None:
    one = pool(processes=1)
    assert one.pool.release() is None, "there is none yet"
    pid = one.run([job("a")])[url("a")].refresh
    caller = Caller("pool_jobs:echo", b"once more: ", process=one.pool.release())
    assert one.pool.release() is None
    assert caller.call(b"x") == f"{pid} once more: x".encode()
    assert one.run([job("b")])[url("b")].refresh != pid, "the pool has another"
    one.pool.close()
    assert caller.call(b"y") == f"{pid} once more: y".encode(), "and leaves the one that it let go alone"
    caller.ask(b"forgotten")
    assert caller.call(b"z") == f"{pid} once more: z".encode()
    caller.close()
    assert not _is_running(int(pid))


@pytest.mark.parametrize("early", ["pipeline.stages.worker:prepare", "pool_jobs:wrong", "no.such.module:at_all", ""])
def test_a_process_that_was_started_ahead_is_the_first_worker(pool: Any, job: Any, early: str) -> None:
    process = start_process(early)
    one = pool(processes=1, process=process)
    assert one.run([job("a")])[url("a")].refresh == str(process.popen.pid)
    assert one.pool.counts["started"] == 1
    assert one.run([job("die-3")])[url("die-3")].fault is not None, "the next ones are started as ever"


def test_a_process_that_was_started_ahead_for_nothing_ends(pool: Any) -> None:
    process, other = start_process("pool_jobs:slow"), start_process()
    one = pool(processes=1, process=process)
    one.pool.close()
    other.end()
    assert not _is_running(process.popen.pid) and not _is_running(other.popen.pid)


def test_what_cannot_be_set_up_anew_says_why(pool: Any, job: Any) -> None:
    one = pool(processes=1)
    one.run([job("a")])
    caller = Caller("pool_jobs:wrong", b"", process=one.pool.release())
    with pytest.raises(PluginLoadError, match="no such file"):
        caller.call(b"x")


def test_closing_while_workers_start_does_not_wait_for_them(pool: Any, job: Any) -> None:
    one = pool("slow", processes=2)
    one.pool.start()
    begun = time.monotonic()
    one.pool.close()
    assert time.monotonic() - begun < 0.5


def test_the_child_has_the_parents_surroundings_and_nothing_else(
    pool: Any, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    monkeypatch.setenv("HOOKLINE_TEST", "there")
    inherited, _kept = os.pipe()
    os.set_inheritable(inherited, True)
    one = pool("environment", processes=1)
    facts = json.loads(one.run([job("a")])[url("a")].refresh)
    assert (facts["cwd"], facts["variable"], facts["path"]) == (str(Path.cwd()), "there", sys.path)
    assert (facts["safe"], facts["stdin"], facts["argv"]) == (True, "", ["hookline-worker"])
    assert [kind for kind in facts["open"] if kind == "pipe"] == []
    assert facts["open"].count("socket") == 1
    os.close(inherited)
    os.close(_kept)


# --- deaths ----------------------------------------------------------------------------------------------------------


def test_a_page_that_kills_is_tried_twice_and_then_a_fault(pool: Any, job: Any, tmp_path: Path) -> None:
    one = pool(processes=1)
    results = one.run(map(job, ["a", "b", "die-3", "c", "d"]))
    fault = results[url("die-3")].fault
    assert (fault.message, fault.fate) == ("its worker ended with exit status 3, twice", "failed:plugin")
    assert all(results[url(path)].fault is None for path in "abcd")
    assert {name: one.pool.counts[name] for name in ("died", "retried", "failed", "start failed")} == {
        "died": 2,
        "retried": 1,
        "failed": 1,
        "start failed": 0,
    }
    # Those behind it were not done twice.
    assert len((tmp_path / "order").read_text().splitlines()) == 4


def test_a_death_that_takes_its_time_is_told_for_what_it_is(pool: Any, job: Any) -> None:
    one = pool(processes=1)
    one.run([job("a")])
    results = one.run([job("fade-9"), job("b")])
    assert results[url("fade-9")].fault.message == "its worker died with signal KILL, twice"
    assert results[url("b")].fault is None
    assert one.pool.counts["died"] == 2


def test_a_page_that_kills_once_is_done_alone_in_a_fresh_worker(pool: Any, job: Any, tmp_path: Path) -> None:
    one = pool(processes=1)
    results = one.run(map(job, ["a", "once-x", "b", "c"]))
    assert all(page.fault is None for page in results.values())
    first, again = results[url("a")].refresh, results[url("once-x")].refresh
    assert first != again
    assert one.pool.counts["retried"] == 1 and one.pool.counts["failed"] == 0


def test_the_others_go_on_while_a_page_is_tried_alone(pool: Any, job: Any) -> None:
    one = pool(processes=1, page_time=0.6)
    order: list[str] = []
    one.run([job("warm")])
    for path in ("sleep-60", *(f"p{number}" for number in range(20))):
        one.pool.submit(path, job(path))

    def pump() -> None:
        while one.pool.done:
            order.append(one.pool.done.popleft()[0])
        if not one.pool.busy:
            one.loop.stop()

    one.loop.run(pump)
    assert order[-1] == "sleep-60" and len(order) == 21


def test_a_worker_that_dies_with_nothing_to_do_costs_nobody(pool: Any, job: Any) -> None:
    one = pool(processes=1)
    assert one.run([job("idle")])[url("idle")].fault is None
    one.loop.call_later(0.15, one.loop.stop)
    one.loop.run()
    assert one.run([job("b")])[url("b")].fault is None
    assert one.pool.counts["failed"] == 0 and one.pool.counts["started"] == 2


def test_what_a_job_raises_is_told(pool: Any, job: Any) -> None:
    one = pool(processes=1)
    results = one.run(map(job, ["a", "bug", "b"]))
    fault = results[url("bug")].fault
    assert fault.message == "RuntimeError: a bug, twice"
    assert "pool_jobs.py" in fault.traceback
    assert results[url("b")].fault is None


def test_what_arises_after_a_hook_is_charged_to_it(pool: Any, job: Any) -> None:
    one = pool(processes=1)
    results = one.run(map(job, ["a", "spoil", "bug", "b"]))
    assert str(results[url("spoil")].fault) == "pl.parse: TypeError: spoilt, twice"
    assert str(results[url("bug")].fault) == "RuntimeError: a bug, twice", "the hook of another page has no part in it"


@pytest.mark.slow
def test_the_deadline_is_a_pages_own(pool: Any, job: Any) -> None:
    """Seven pages of half the time one after another in one channel: each is within its time."""
    one = pool(processes=1, page_time=0.4)
    results = one.run([job(f"sleep-0.2{number}") for number in range(1, 8)])
    assert all(page.fault is None for page in results.values())
    assert not one.pool.counts["killed: time"]


def test_a_page_over_its_time_is_killed_and_says_where_it_was(pool: Any, job: Any) -> None:
    one = pool(processes=1, page_time=0.3)
    begun = time.monotonic()
    results = one.run(map(job, ["sleep-60", "b"]))
    fault = results[url("sleep-60")].fault
    assert fault.message.startswith("the page took more than 0.3 s, and its worker was killed, twice (")
    assert "pool_jobs.py" in fault.message and "in work" in fault.traceback
    assert one.pool.counts["killed: time"] == 2
    assert time.monotonic() - begun < 10


@pytest.mark.slow
def test_a_parent_that_was_held_up_blames_nobody(pool: Any, job: Any) -> None:
    one = pool(processes=1, page_time=0.5)
    one.run([job("warm")])
    (worker,) = one.pool._workers
    one.loop.call_later(0.2, lambda: (os.kill(worker.pid, signal.SIGSTOP), time.sleep(1.5), os.kill(worker.pid, 18)))
    assert one.run([job("sleep-0.3")])[url("sleep-0.3")].fault is None
    assert not one.pool.counts["killed: time"]


@pytest.mark.slow
def test_a_worker_that_grows_is_replaced_between_pages(pool: Any, job: Any) -> None:
    one = pool(processes=1, recycle_memory=150 * 2**20, page_time=1.0)
    paths = [f"grow-{50 + number}" for number in range(4)] + [f"sleep-0.3{number}" for number in range(3)]
    results = one.run(map(job, [*paths, "a", "b", "c"]), window=2)
    assert all(page.fault is None for page in results.values())
    assert one.pool.counts["recycled"] >= 1
    assert one.pool.counts["died"] == one.pool.counts["killed: memory"] == 0


def test_a_page_over_the_memory_is_killed(pool: Any, job: Any) -> None:
    one = pool(processes=1, page_memory=150 * 2**20, page_time=0.8)
    results = one.run(map(job, ["a", "hog-300", "b"]))
    assert results[url("hog-300")].fault.message == "its worker had more than 150 MiB of memory, and was killed, twice"
    assert results[url("a")].fault is None and results[url("b")].fault is None
    assert one.pool.counts["killed: memory"] == 2


# --- workers that cannot be set up -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("broken", "worker processes cannot be set up: ValueError: the setup is broken"),
        ("wrong", "shop.yaml:3:5: plugins.0: no such file; look"),
        ("dying", "worker processes cannot be set up: they ended with exit status 9"),
        ("missing", "has no attribute 'missing'"),
    ],
)
def test_workers_that_cannot_be_set_up_end_the_run(function: str, words: str, pool: Any, job: Any) -> None:
    one = pool(function, processes=2)
    assert one.run([job("a"), job("b")]) == {}
    assert isinstance(one.pool.error, WorkersError)
    assert words in str(one.pool.error)
    assert one.pool.counts["start failed"] >= 3 and one.pool.counts["started"] <= 6


def test_a_setup_that_takes_too_long(pool: Any, job: Any) -> None:
    one = pool("slow", processes=1, start_time=0.2, page_time=0.4)
    one.run([job("a")])
    assert "they take more than 0.2 s to be set up" in str(one.pool.error)


@pytest.mark.slow
def test_workers_that_are_too_large_from_the_beginning(pool: Any, job: Any) -> None:
    one = pool("fat", processes=1, page_memory=200 * 2**20)
    one.run([job("a")])
    assert "limits.page_memory is less" in str(one.pool.error)


def test_no_process_to_be_had(pool: Any, job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    one = pool(processes=1)
    one.run([job("a")])
    assert "starts no process" in str(one.pool.error)


# --- the parent's end ------------------------------------------------------------------------------------------------

PARENT = """
import sys
sys.path.insert(0, sys.argv[1])
from pipeline.fetch.loop import Loop
from pipeline.model import PageJob
from pipeline.workers.pool import WorkerPool
loop = Loop()
pool = WorkerPool(loop, job="pool_jobs:answer", setup=sys.argv[1].encode(), processes=3)
for number in range(9):
    pool.submit(number, PageJob(f"http://x.example/{sys.argv[2]}", 200, [], b"", "r", {}))
def pump():
    if all(worker.ready for worker in pool._workers) and not told:
        told.append(print(*[worker.pid for worker in pool._workers], flush=True))
told = []
loop.run(pump)
"""


@pytest.mark.parametrize("doing", ["sleep-60", "a"])
def test_no_worker_outlives_its_parent(doing: str, pool: Any, tmp_path: Path, repo: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path), doing],
        cwd=repo,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process, process.stdout:
        pids = list(map(int, process.stdout.readline().split()))
        assert len(pids) >= 2
        process.kill()
        process.wait(5)
        deadline = time.monotonic() + 1
        while (left := [pid for pid in pids if _is_running(pid)]) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not left


def test_nothing_that_plugins_started_outlives_a_killed_parent(pool: Any, tmp_path: Path, repo: Path) -> None:
    mark = f"HOOKLINE_TEST_MARK={tmp_path}"
    environment = {**os.environ, "HOOKLINE_TEST_MARK": str(tmp_path)}
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path), "leave"]
    process = subprocess.Popen(command, cwd=repo, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    with process, process.stdout:
        process.stdout.readline()
        wait(lambda: sum(_command(pid) == "sleep" for pid in _marked(mark)) >= 4)
        process.kill()
        process.wait(5)
        wait(lambda: not _marked(mark), 1)


def wait(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _marked(entry: str) -> list[int]:
    """Living processes with this in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{entry}\0".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_terminals_signals_are_the_parents_business(pool: Any, job: Any) -> None:
    one = pool(processes=1)
    one.run([job("warm")])
    (worker,) = one.pool._workers
    assert os.getpgid(worker.pid) == worker.pid
    for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(worker.pid, signum)
    assert one.run([job("a")])[url("a")].fault is None
    assert one.pool.counts == {"started": 1}


def test_a_pool_that_was_never_used_can_be_closed() -> None:
    loop = Loop()
    pool = WorkerPool(loop, job="x:y", setup=b"", processes=2)
    pool.close()
    loop.close()
    assert not pool.counts
