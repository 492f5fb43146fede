"""The one thread that writes to the state: jobs go in, in order, and answers come out.

It owns the only connection for writing. A job is `fn(db, *arguments)`; it is run in a transaction that is begun before
the first job and goes on over all that follow until `commit`. A job posted after another sees what that one wrote,
committed or not. What the jobs do is not known here.

After the first failure the transaction is rolled back and nothing is written any more: a failed fsync must not be
tried again (the system may have dropped the pages and would say that all is well), and a full disk leaves what was
committed. Without a thread (`threaded=False`) the same steps are made at once by the caller.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, NamedTuple, TypeVar

from pipeline import ending
from pipeline.errors import StateError
from pipeline.failpoints import hit
from pipeline.state.database import BUSY_SECONDS, close, connect, plain

PASSIVE_BYTES: Final = 16 * 2**20  # of the WAL: from here on it is moved into the file, as far as readers let it
TRUNCATE_BYTES: Final = 64 * 2**20  # from here on readers are waited for, shortly
READERS_MS: Final = 100

Answer = TypeVar("Answer")


class _Job(NamedTuple):
    work: Callable[..., Any] | None  # None: commit
    arguments: tuple[Any, ...]
    token: Any = None
    reply: SimpleQueue[tuple[Any, BaseException | None]] | None = None


def _nothing() -> None:
    pass


class Writer:
    """Runs jobs on the state, one after another. All methods are for the one thread that made it.

    `done` has (token, answer) of the jobs that were posted with a token, in order; `wake` is called, in the writer's
    thread, after each that was added, and after a failure.

    Raises StateError or ConfigError as `database.connect`, which opens here and now.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        threaded: bool = True,
        wake: Callable[[], None] = _nothing,
        check: bool = True,
    ) -> None:
        self.done: deque[tuple[Any, Any]] = deque()
        self._path = path
        self._wake = wake
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._failure: BaseException | None = None
        self._shown = False  # whether the failure reached the owner
        self._closed = False
        self._checkpoint_at = PASSIVE_BYTES
        self._db = connect(path, check=check)
        self.note = self._db.note
        self._thread: threading.Thread | None = None
        if threaded:
            # A daemon, and told at the end: an ordinary thread would be waited for before anybody gets to tell it.
            self._thread = threading.Thread(target=self._serve, name="state writer", daemon=True)
            ending.register(self._end)
            try:
                self._thread.start()
            except BaseException:
                ending.unregister(self._end)
                self._thread = None
                close(self._db)
                raise

    @property
    def error(self) -> StateError | None:
        """The failure that ended all writing, None while there is none.

        If a job failed by anything else than the storage, that is a bug of the framework, and it is raised here.
        """
        if self._failure is None or isinstance(self._failure, StateError):
            return self._failure
        self._shown = True
        raise self._failure

    @property
    def unchecked(self) -> bool:
        """Whether the database still has to be looked through (`check=False`, after an unclean end)."""
        return self._db.unchecked

    def checked(self) -> None:
        """`database.look_through` found nothing wrong: the end may be a clean one."""
        self._db.unchecked = False

    @property
    def waiting(self) -> int:
        """Jobs that were posted and not begun."""
        return self._jobs.qsize()

    def post(self, work: Callable[..., Any], *arguments: Any, token: Any = None) -> None:
        """Run `work(db, *arguments)` after all that was posted before; its answer goes to `done` if there is a token.

        After a StateError it is dropped, see `error`; after a bug in a job, that is raised.
        """
        self._raise_bug()
        self._submit(_Job(work, arguments, token))

    def commit(self, token: Any = None, *, wait: bool = False) -> None:
        """Make all that was posted before durable; then (token, None) goes to `done`, if there is a token.

        With `wait` it returns when that is so, or raises StateError.
        """
        self._raise_bug()
        if wait:
            self._ask(_Job(None, (), token, SimpleQueue()))
        else:
            self._submit(_Job(None, (), token))

    def call(self, work: Callable[..., Answer], *arguments: Any) -> Answer:
        """Run `work(db, *arguments)` after all that was posted before, wait for it and return its answer.

        Raises StateError, also where an earlier job failed, and whatever `work` raises.
        """
        self._raise_bug()
        answer: Answer = self._ask(_Job(work, arguments, None, SimpleQueue()))
        return answer

    def close(self) -> None:
        """Let posted jobs end, roll back what was not committed, close the database, end the thread.

        More than once is fine. Failures of the storage are left in `error`; a bug that nobody was told of is raised.
        """
        self._end()
        if not self._shown:
            self._raise_bug()

    # --- the owner's side ---------------------------------------------------------------------------------------------

    def _submit(self, job: _Job) -> None:
        if self._closed:
            raise RuntimeError("the writer is closed")
        if self._thread:
            self._jobs.put(job)
        else:
            self._step(job)

    def _ask(self, job: _Job) -> Any:
        assert job.reply is not None
        self._submit(job)
        answer, failure = job.reply.get()
        if failure is not None:
            self._shown = True
            raise failure
        return answer

    def _raise_bug(self) -> None:
        if self._failure is not None and not isinstance(self._failure, StateError):
            self._shown = True
            raise self._failure

    def _end(self) -> None:
        """What must happen even if it is interrupted: a second call goes on where the first one was."""
        if self._thread:
            self._jobs.put(None)  # before the flag: two of them do no harm, none would make `join` wait for ever
            self._closed = True
            self._thread.join()
            ending.unregister(self._end)
        elif not self._closed:
            self._closed = True
            self._finish()

    # --- the writer's side --------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            for job in iter(self._jobs.get, None):
                self._step(job)
        finally:
            self._finish()

    def _step(self, job: _Job) -> None:
        if self._failure is None:
            try:
                self._run(job)
            except BaseException as error:
                self._fail(error)
                if not self._thread and not isinstance(error, Exception):
                    self._shown = True
                    raise  # Ctrl-C hit the caller within the job
        if self._failure is not None and job.reply is not None:
            job.reply.put((None, self._failure))

    def _run(self, job: _Job) -> None:
        answer = None
        if job.work is None:
            self._commit()
        else:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            answer = job.work(self._db, *job.arguments)
        if job.token is not None:
            self.done.append((job.token, answer))
            self._wake()
        if job.reply is not None:
            job.reply.put((answer, None))
        if job.work is None:
            self._checkpoint()  # last: a commit is one, whatever becomes of this

    def _commit(self) -> None:
        if self._db.in_transaction:
            hit("before_commit")
            self._db.execute("COMMIT")
            hit("after_commit")

    def _checkpoint(self) -> None:
        """Move the WAL into the file when it has grown, and where a reader prevented that, when it has grown again."""
        if self._path is None or (size := self._wal_bytes()) < self._checkpoint_at:
            return
        hit("before_checkpoint")
        self._db.execute(f"PRAGMA busy_timeout = {READERS_MS}")
        mode = "TRUNCATE" if size > TRUNCATE_BYTES else "PASSIVE"
        busy, frames, moved = self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        self._db.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        hit("after_checkpoint")
        self._checkpoint_at = PASSIVE_BYTES if not busy and frames == moved else size + PASSIVE_BYTES

    def _wal_bytes(self) -> int:
        try:
            return Path(f"{self._path}-wal").stat().st_size
        except FileNotFoundError:
            return 0  # a rollback journal, where there is no WAL

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            if isinstance(error, sqlite3.Error | OSError):
                self._failure = plain(error, self._path)
                self._failure.__cause__ = error
            else:
                self._failure = error
        with suppress(sqlite3.Error):  # SQLite has rolled back by itself after most errors
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        with suppress(Exception):  # it is told of a failure, and has none of its own to tell
            self._wake()

    def _finish(self) -> None:
        """After a failure nothing is written, so the next open finds no clean end and looks through the file."""
        try:
            if self._failure is None:
                close(self._db)
            else:
                self._db.close()
        except BaseException as error:
            self._failure = self._failure or error
