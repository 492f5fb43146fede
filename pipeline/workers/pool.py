"""Page jobs in processes of their own, in the caller's loop: a job goes in, a result comes out of `done`.

It knows nothing of plugins or the crawl.

*A page is never lost and nobody else's page suffers.* A worker has several jobs in its channel and works on the first.
If it dies, or has to be killed, the first is to blame: it is tried once more, alone in a fresh worker, and if that dies
too its result is a fault. The jobs behind it go back to the head of the queue, uncharged. So a page that kills costs
two starts of a process, which go on beside the other workers' jobs.

*When a page began* is not told by the worker but known: when the answer before it was received, or when it was sent to
a worker that had nothing to do. One timer a pool, four times a second while there is work, looks at deadlines and
memory, so that a page costs no timer.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from functools import partial
from typing import Any, Final

import msgspec

from pipeline.errors import HooklineError
from pipeline.fetch.loop import NEVER, READ, WRITE, Loop
from pipeline.model import PackedPage, PageJob, Request
from pipeline.workers.child import FAILED, LAST, NUMBER, RAISED, READY, Failed, First
from pipeline.workers.deaths import GARBLED, MEMORY, TIME, no_process, page_fault, size_text, start_error
from pipeline.workers.framing import MOST, FrameError, Piece
from pipeline.workers.process import NOT_NOW, Process, Task, Worker, paths

AHEAD: Final = 2  # jobs in every worker's channel before another worker is started
ENOUGH: Final = 0.05  # seconds of work in a channel, beyond which the way to a worker and back counts for nothing
UNKNOWN: Final = 0.006  # seconds that a page is taken to need before any has been seen
REST: Final = 0.004  # seconds that the loop may leave things waiting while every worker has work
TICK: Final = 0.25  # seconds between looks at deadlines and memory
START: Final = 60.0  # seconds that a worker may take to be set up
STARTS: Final = 3  # workers in a row that could not be set up before the pool gives up
GRACE: Final = 1.0  # seconds that a worker may take to end by itself
ENDING: Final = 0.5  # seconds from the end of a worker's channel in which its death explains that
ENDS: Final = 0.005  # seconds between looks whether it has died
_BUFFER: Final = 256 * 1024
_NUMBERS: Final = 2**32 - 1
_decode_failed: Final = msgspec.msgpack.Decoder(Failed).decode


class WorkerPool:
    """Run jobs in up to `processes` child processes (and for a short time one more for each page that went wrong).

    `job` is "module:function"; in the child, function(setup) gives a function from a PageJob to a PackedPage, both as
    msgpack. `page_time` are seconds a page, `page_memory` bytes that a worker may have at any time; a worker that is
    over `recycle_memory` (default: halfway from what it had when set up to `page_memory`) is replaced between pages.
    An answer has at most `most_bytes`, and is an `answer`: PackedPage, or what else another `job` takes requests for.

    `waiting_bytes`: bodies of jobs without an answer; `busy`: how many such jobs there are; `counts`: started,
    recycled, retried, failed, `killed: time`, `killed: memory`, `died` and `start failed`. `error`: why nothing will be
    answered any more; None while the pool works. `process` is one that was started ahead, for the first worker.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        job: str,
        setup: bytes,
        processes: int,
        page_time: float = 30.0,
        page_memory: int = 1024**3,
        recycle_memory: int | None = None,
        in_flight: int = 32,
        most_bytes: int = MOST,
        start_time: float = START,
        answer: type[Any] = PackedPage,
        process: Process | None = None,
    ) -> None:
        self._loop = loop
        self._first = First(job, setup, paths(), most_bytes)
        self._ahead = process
        self._processes = max(processes, 1)
        self._page_time = page_time
        self._page_memory = page_memory
        self._recycle_memory = recycle_memory
        self._in_flight = max(in_flight, 1)
        self._start_time = start_time
        self._answer = answer
        self._decode = msgspec.msgpack.Decoder(answer).decode
        self._tick_time = min(TICK, page_time / 4)
        self._tick_due = 0.0
        self._timer = loop.timer(self._tick)
        self._buffer = memoryview(bytearray(_BUFFER))
        self._workers: list[Worker] = []
        self._unreaped: list[Worker] = []
        self._queue: deque[Task] = deque()
        self._again: deque[Task] = deque()  # to be tried alone
        self._number = 0
        self._failed_starts = 0
        self._pace = 0.0  # seconds a page, of late
        self._not_before = 0.0  # when the system may be asked for a process again
        self._closed = False
        self.done: deque[tuple[Any, Any]] = deque()
        self.waiting_bytes = 0
        self.busy = 0
        self.error: HooklineError | None = None
        self.counts: Counter[str] = Counter()

    # --- jobs --------------------------------------------------------------------------------------------------------

    def start(self, *, at_once: bool = True) -> None:
        """Have the loop rest as suits the workers; `at_once`: begin to set up the first, without waiting for it."""
        if self._closed or self.error is not None:
            return
        self._loop.rest_with(self._spare)
        if at_once and not self._workers:
            self._hire()

    def submit(self, token: Any, job: PageJob | Request) -> None:
        """Have `job` worked on; (token, result) will be in `done`. Raises RuntimeError after `close`."""
        if self._closed:
            raise RuntimeError("the pool is closed")
        self._number = self._number % _NUMBERS + 1
        task = Task(token, self._number, job)
        self.busy += 1
        self.waiting_bytes += task.size
        self._queue.append(task)
        self._dispatch()
        self._set_timer()

    def release(self) -> Process | None:
        """The process of a worker that has nothing to do, for other work than pages; None if there is none."""
        free = next((worker for worker in self._workers if worker.is_free), None)
        if free is None:
            return None
        self._workers.remove(free)
        return free.let_go()

    def close(self) -> None:
        """End all workers and wait for that, a second at most; jobs without an answer are dropped, `done` stays."""
        self._closed = True
        self._loop.rest_with(None)
        self._timer.cancel()
        self._queue.clear()
        self._again.clear()
        self.busy = self.waiting_bytes = 0
        for worker in self._workers:
            worker.dismiss()
            if not worker.ready:
                worker.kill()
        end = time.monotonic() + GRACE
        while any(not worker.ended() for worker in self._workers) and time.monotonic() < end:
            time.sleep(0.002)
        for worker in [*self._workers, *self._unreaped]:
            worker.bury()
        self._workers.clear()
        self._unreaped.clear()
        if self._ahead is not None:
            self._ahead.end()
            self._ahead = None

    def _spare(self) -> float:
        """Seconds in which nobody misses the loop: half of the time for which every worker has work in its channel."""
        ahead = min((len(worker.flight) for worker in self._workers if not worker.retiring), default=0)
        return min((ahead - 1) * self._pace / 2, REST)

    def memory(self) -> int:
        """Bytes that the workers have in memory."""
        return sum(worker.memory() for worker in self._workers)

    def _dispatch(self) -> None:
        """Give waiting jobs to workers that have room, and start workers that are wanted."""
        if self.error is not None or self._closed:
            return
        while self._again and sum(worker.alone for worker in self._workers) < self._processes:
            worker = self._hire()
            if worker is None:
                return
            worker.alone = True
            worker.give(self._again.popleft())
        while self._queue:
            worker = self._freest()
            if worker is None:
                return
            worker.give(self._queue.popleft())

    def _freest(self) -> Worker | None:
        """The worker with the fewest jobs, if there is room for one more; perhaps a new one."""
        # Where pages are slow, those waiting in a channel would wait while another worker has nothing to do; where they
        # are quick, one process after the other has a processor's caches to itself for longer.
        most = min(max(int(ENOUGH / (self._pace or UNKNOWN)), AHEAD), self._in_flight)
        best, least, there = None, most, 0
        for worker in self._workers:
            if worker.retiring or worker.alone:
                continue
            there += 1
            if len(worker.flight) < least:
                best, least = worker, len(worker.flight)
        if there < self._processes and (best is None or least >= AHEAD):
            return self._hire() or best
        return best

    def _hire(self) -> Worker | None:
        """A new worker; None if the system gives none."""
        if self._loop.now < self._not_before:
            return None
        try:
            worker = Worker(self._loop, self._first, self._ready, self._first.most + NUMBER + 1, self._ahead)
            self._ahead = None
        except OSError as error:
            if not self._workers:
                self.error = no_process(error)
            self._not_before = self._loop.now + 1.0
            return None
        self.counts["started"] += 1
        self._workers.append(worker)
        self._set_timer()
        return worker

    # --- answers -----------------------------------------------------------------------------------------------------

    def _ready(self, worker: Worker, mask: int) -> None:
        if self._closed:  # the event was on its way
            return
        if mask & WRITE:
            worker.flush()
        if not mask & READ:
            return
        size = worker.receive(self._buffer)
        if size == NOT_NOW:
            return
        if size == 0:
            self._hung_up(worker, self._loop.now + ENDING)
            return
        partial = worker.frames.partial
        try:
            for frame in worker.frames.feed(self._buffer[:size]):
                self._take(worker, frame)
        except (FrameError, msgspec.MsgspecError):
            worker.kill(GARBLED)
            return
        if worker.frames.partial and not partial:
            worker.began = self._loop.now  # the page is done, and its answer on the way
        self._dispatch()

    def _take(self, worker: Worker, frame: Piece) -> None:
        """One frame of a worker. Raises FrameError if it is not the one that must come now."""
        view = memoryview(frame)
        number, kind = int.from_bytes(view[:NUMBER], "big"), view[NUMBER] if len(view) > NUMBER else RAISED
        payload = view[NUMBER + 1 :]
        if number == 0 and not worker.ready:
            self._set_up(worker, kind, payload)
            return
        if not worker.ready or not worker.flight or worker.flight[0].number != number or kind in (READY, FAILED):
            raise FrameError("an answer to no question")
        if kind == RAISED:
            worker.raised = str(payload, "utf-8", "replace")
            return
        page = self._decode(payload)
        self._answered(worker.flight.popleft(), page)
        self._pace += (self._loop.now - worker.began - self._pace) / 8
        worker.began = self._loop.now
        worker.asked = False
        if worker.alone:
            worker.alone = False
            worker.retiring = sum(not (one.retiring or one.alone) for one in self._workers) > self._processes
        if kind == LAST:
            self._retire(worker)
            worker.leaving = True
        elif worker.retiring and not worker.flight:
            worker.dismiss()

    def _answered(self, task: Task, page: Any) -> None:
        self.busy -= 1
        self.waiting_bytes -= task.size
        self.done.append((task.token, page))

    def _set_up(self, worker: Worker, kind: int, payload: memoryview) -> None:
        """A worker's first words."""
        if kind != READY:
            worker.failed = bytes(payload)
            return
        worker.ready = True
        worker.began = self._loop.now
        self._failed_starts = 0
        base = worker.memory()
        worker.marked = self._recycle_memory or (base + self._page_memory) // 2
        if base > self._page_memory:
            many = f"they have {size_text(base)} of memory when set up, and limits.page_memory is less"
            self.error = start_error(many, None)

    # --- endings -----------------------------------------------------------------------------------------------------

    def _retire(self, worker: Worker) -> None:
        """Give it no more jobs; it ends when it has done those that it has."""
        worker.retiring = True
        self.counts["recycled"] += 1

    def _hung_up(self, worker: Worker, latest: float) -> None:
        """A worker's end of the channel is closed: by its death, which is over a moment later, or by a plugin."""
        if self._closed or worker not in self._workers:
            return
        if worker.leaving or worker.reason or worker.ended() or self._loop.now >= latest:
            self._gone(worker)
            return
        worker.hang_up()
        self._loop.call_later(ENDS, partial(self._hung_up, worker, latest))

    def _gone(self, worker: Worker) -> None:
        """A worker has ended: bury it, and see to its jobs."""
        self._workers.remove(worker)
        if not worker.bury():
            self._unreaped.append(worker)
        flight, worker.flight = worker.flight, deque()
        back = self._again if worker.alone else self._queue
        if not worker.ready:
            self._start_failed(worker)
        elif not worker.leaving:
            self.counts[worker.reason or "died"] += 1
            if flight:
                self._blame(flight.popleft(), worker)
        back.extendleft(reversed(flight))
        self._dispatch()

    def _blame(self, task: Task, worker: Worker) -> None:
        """A worker ended at this job."""
        if not task.tried:
            task.tried = True
            self.counts["retried"] += 1
            self._again.append(task)
            return
        self.counts["failed"] += 1
        how = worker.reason or worker.end()
        fault = page_fault(how, worker.raised, worker.told, page_time=self._page_time, page_memory=self._page_memory)
        self._answered(task, self._answer(fault=fault))

    def _start_failed(self, worker: Worker) -> None:
        self.counts["start failed"] += 1
        self._failed_starts += 1
        if self._failed_starts >= STARTS and self.error is None:
            failed = _decode_failed(worker.failed) if worker.failed else None
            self.error = start_error(f"they {worker.reason or worker.end()}", failed)

    # --- four times a second -----------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._loop.now
        held_up = now - self._tick_due
        for worker in list(self._workers):
            if held_up > 1.0:  # we were stopped, or very late: that is nobody's fault
                worker.began += held_up
            self._look(worker, now)
        self._unreaped = [worker for worker in self._unreaped if not worker.bury()]
        self._dispatch()
        if self.busy or any(worker.leaving or not worker.ready for worker in self._workers):
            self._set_timer()

    def _set_timer(self) -> None:
        """Look again soon, unless that is planned already."""
        if self._timer.when == NEVER:
            self._tick_due = self._loop.now + self._tick_time
            self._timer.move(self._tick_due)

    def _look(self, worker: Worker, now: float) -> None:
        """Is this worker still alive, in time, and of a bearable size?"""
        spent = now - worker.began
        if worker.hung_up:
            return
        if worker.ended():
            self._look_at_dead(worker)
        elif not worker.ready:
            if spent > self._start_time:
                worker.kill(f"take more than {self._start_time:g} s to be set up")
        elif worker.leaving:
            if spent > GRACE:
                worker.kill()
        elif worker.flight:
            self._look_at_busy(worker, spent)

    def _look_at_busy(self, worker: Worker, spent: float) -> None:
        memory = worker.memory()
        if memory > self._page_memory:
            worker.kill(MEMORY)
        elif spent > self._page_time:
            if worker.asked:
                worker.kill(TIME)
            else:
                worker.ask()  # it has until the next look to say where it is
        elif memory > worker.marked and not worker.retiring:
            self._retire(worker)

    def _look_at_dead(self, worker: Worker) -> None:
        """The end of its channel tells, unless a process that it left behind still holds that."""
        if worker.lost:
            self._gone(worker)
        else:
            worker.lost = True
            worker.kill()
