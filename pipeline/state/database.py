"""Opens `state.db`, closes it, and says in plain words what went wrong with it.

Knows files, pragmas and versions; nothing of the tables but `meta`, and nothing of what they mean.

WAL with `synchronous = FULL`: a commit is one fsync, it survives a power cut, and readers do not disturb it.
Checkpoints are made by the writer (`wal_autocheckpoint = 0`), so that no commit is the unlucky one that pays for them;
`journal_size_limit = 0` cuts the WAL when it starts anew, so that its size is what is in it. Over a network file system
the shared memory of WAL does not hold, so there it is a rollback journal.

`meta.clean` is 0 while somebody has the database open for writing. Where it is 0 at open, that process died, and
`PRAGMA quick_check` reads the file once: 0.3 s for a million requests in 200 MB.
"""

from __future__ import annotations

import errno
import os
import pwd
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from pipeline.errors import ConfigError, Problem, StateError
from pipeline.failpoints import hit
from pipeline.state.schema import APPLICATION_ID, MIGRATIONS, VERSION

BUSY_SECONDS: Final = 10.0  # how long another program may keep the database locked
CACHE_KIB: Final = 8192
PAGE_BYTES: Final = 8192  # what a page of a site gives has about as many, and each page of a file is two writes
MOUNTS: Final = Path("/proc/self/mountinfo")
NETWORK: Final = frozenset(
    {"9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "glusterfs", "gpfs", "lustre", "ncpfs"}
    | {"nfs", "nfs4", "ocfs2", "gfs2", "orangefs", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"}
)

_DAMAGED: Final = "move it away, or start anew with `hookline state reset`; outputs are not touched"
_LOCKED: Final = "is locked by another program, a backup or a database browser; close that and run again"
_FORBIDDEN: Final = (
    "cannot be opened or written ({error}); look at the permissions of the file, of those beside it (-wal, -shm) "
    "and of the folder, and at the limit of open files"
)
_WORDS: Final = {  # by primary result code
    sqlite3.SQLITE_FULL: "the disk is full; make room and run again, all that was committed is kept",
    sqlite3.SQLITE_IOERR: (
        "cannot be read or written: the disk failed, or a quota or a limit of file sizes was reached ({name}); "
        "see to it and run again, all that was committed is kept"
    ),
    sqlite3.SQLITE_CORRUPT: "is damaged ({error}); " + _DAMAGED,
    sqlite3.SQLITE_NOTADB: "is no database, or its beginning is damaged; " + _DAMAGED,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _FORBIDDEN,
    sqlite3.SQLITE_PERM: _FORBIDDEN,
    sqlite3.SQLITE_AUTH: _FORBIDDEN,
    sqlite3.SQLITE_CANTOPEN: _FORBIDDEN,
}
_NO_ROOM: Final = 64 * 1024  # bytes; a file system with less is full


class Database(sqlite3.Connection):
    """A connection, and what there is to say about it."""

    path: Path | None = None  # None: private, gone when closed
    note: str = ""  # for the user, where something is not as it should be
    unchecked: bool = False  # not closed properly the last time, and not looked through since


def connect(path: Path | None, *, check: bool = True) -> Database:
    """Open for writing; made, with its folder, where there is none. None: a private database that goes when closed.

    After an unclean end the whole file is looked through; with `check=False` only `unchecked` is set, and the caller
    does it (`look_through`, in a thread if it likes) and then clears `unchecked`.

    Raises StateError, or ConfigError where permission is lacking: then nothing was done yet.
    """
    if path is None:
        return _private()
    make_folder(path.parent)
    _make_file(path)
    db: Database | None = None
    try:
        db = _opened(path, "rw")
        _prepare(db, path, check=check)
    except BaseException as error:
        if db is not None:
            db.close()
        if isinstance(error, sqlite3.Error | OSError):
            if _code(error) in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
                raise _forbidden(path, "opened for writing") from error
            raise plain(error, path) from error
        raise
    return db


def read_only(path: Path, *, briefly: bool = False) -> Database:
    """Open to look only: nothing is changed or waited for. Raises StateError; without a state it says so.

    SQLite makes the WAL and its index beside the file, even to read, and leaves them there. For a look that takes
    milliseconds (`briefly`) that is not needed where no WAL is: then nobody has the database open, and who opens it
    meanwhile writes to a WAL first.
    """
    with plain_errors(path):
        if not path.exists():
            raise StateError(f"{path}: there is no state yet; `hookline run` makes it")
        alone = briefly and not Path(f"{path}-wal").exists() and _network(path.parent) is None
        db = _opened(path, "ro&immutable=1" if alone else "ro")
        try:
            db.execute("PRAGMA query_only = ON")
            version = _version(db, path)
            if version < VERSION:
                what = "is empty" if version == 0 else f"is of an older version ({version}, this one wants {VERSION})"
                raise StateError(f"{path}: {what}; `hookline run` brings it up to date")
        except BaseException:
            db.close()
            raise
    return db


@contextmanager
def reading(path: Path, *, briefly: bool = False) -> Iterator[Database]:
    """`read_only` for one block; closed at its end, and errors of SQLite within it come out as StateError."""
    with closing(read_only(path, briefly=briefly)) as db, plain_errors(path):
        yield db


def close(db: Database) -> None:
    """Roll back what is open, move the WAL into the file, note that this was a clean end, close.

    Closed it is in any case. Raises StateError; nothing committed is lost then, only the next open looks through it.
    """
    with plain_errors(db.path), closing(db):
        if db.in_transaction:
            db.execute("ROLLBACK")
        if db.path is None:
            return
        if not db.unchecked:
            db.execute("UPDATE meta SET value = 1 WHERE key = 'clean'")
        hit("before_checkpoint")
        db.execute("PRAGMA busy_timeout = 0")  # a reader keeps the WAL; that is no reason to wait
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        hit("after_checkpoint")


def look_through(path: Path) -> None:
    """Read the whole file and raise StateError if it is damaged. On a connection of its own; lets other threads run."""
    with plain_errors(path), closing(_opened(path, "ro")) as db:
        _quick_check(db, path)


# --- errors -----------------------------------------------------------------------------------------------------------


@contextmanager
def plain_errors(path: Path | None) -> Iterator[None]:
    """Errors of SQLite and of the system within the block come out as StateError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise plain(error, path) from error


def plain(error: sqlite3.Error | OSError, path: Path | None) -> StateError:
    """What happened, where, and what to do next."""
    where = path or "the private state of this run"
    if isinstance(error, OSError):
        return StateError(f"{where}: {error.strerror or error}")
    code = _code(error)
    if code == sqlite3.SQLITE_IOERR and _full(path):
        code = sqlite3.SQLITE_FULL
    words = _WORDS.get(code, "{error} ({name}); this should not happen, please report it")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StateError(f"{where}: {words.format(error=error, name=name)}")


def _code(error: sqlite3.Error | OSError) -> int:
    """The primary result code; -1 for an error of Python or the system."""
    code = getattr(error, "sqlite_errorcode", -1)
    return code if code < 0 else code & 0xFF


def _full(path: Path | None) -> bool:
    """SQLite does not tell every full disk from a broken one."""
    with suppress(OSError):
        system = os.statvfs(path.parent if path else ".")
        return path is not None and system.f_bavail * system.f_frsize < _NO_ROOM
    return False


def _forbidden(path: Path, what: str) -> ConfigError:
    message = f"{path} cannot be {what}: no permission, or a read-only file system{_others(path)}"
    return ConfigError([Problem(None, "", message, "give permission, or choose another `state_dir`")])


def _others(path: Path) -> str:
    """Whose it is, or the folder in which it is, if it is another user's: most often of one who tried it as root."""
    for one in (path, *path.parents):
        with suppress(OSError):
            owner = one.stat().st_uid
            return f" ({one} belongs to {_user(owner)})" if owner != os.geteuid() else ""
    return ""


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


# --- files ------------------------------------------------------------------------------------------------------------


def size(path: Path) -> int | None:
    """Bytes in a database's own file; None where there is none. Raises ConfigError where permission is lacking."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise _forbidden(path, "read") from error
    except OSError as error:
        raise plain(error, path) from error


def make_folder(folder: Path) -> None:
    """A state folder: made, for its owner alone, where there is none. Raises as `connect` does."""
    try:
        if not folder.is_dir():
            folder.mkdir(0o700, parents=True, exist_ok=True)
            sync_folder(folder.parent)
    except PermissionError as error:
        raise _forbidden(folder, "made") from error
    except (FileExistsError, NotADirectoryError) as error:
        blocking = next((one for one in (folder, *folder.parents) if one.exists() or one.is_symlink()), folder)
        raise StateError(f"{folder}: cannot be a folder, since {blocking} is something else; move that away") from error
    except OSError as error:
        if not os.access(folder.parent, os.W_OK):  # a read-only file system says so in its own way
            raise _forbidden(folder, "made") from error
        raise plain(error, folder) from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise _forbidden(folder, "written to")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where that can be asked for. Raises OSError if it failed."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return  # it may be entered and written to, but not read
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system without fsync of folders
            raise
    finally:
        os.close(handle)


def _make_file(path: Path) -> None:
    """Make an empty file, for its owner alone; SQLite gives the files beside it the same mode.

    An existing one is never opened here: closing it would drop the locks that other connections of this process hold.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        sync_folder(path.parent)
    except FileExistsError:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            why = "two folders could then share one database, each with a lock of its own"
            raise StateError(f"{path}: is a symbolic link; move the whole folder and link that, {why}") from None
        if not stat.S_ISREG(mode):
            raise StateError(f"{path}: is no file; move it away") from None
        for one in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            if one.exists() and not os.access(one, os.R_OK | os.W_OK):
                raise _forbidden(one, "opened for writing") from None
    except OSError as error:
        raise plain(error, path) from error


def file_system(folder: Path) -> str | None:
    """Type of the file system that a folder is on, where the system tells (Linux), else None."""
    with suppress(OSError):
        device = folder.stat().st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}"
        for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
            mount, _, source = line.partition(" - ")
            if mount.split()[2] == wanted:
                return source.split()[0]
    return None


def _network(folder: Path) -> str | None:
    kind = file_system(folder)
    return kind if kind and (kind in NETWORK or kind.startswith("fuse.")) else None


# --- opening ----------------------------------------------------------------------------------------------------------


def _opened(path: Path, mode: str) -> Database:
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        factory=Database,
    )
    db.path = path
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA secure_delete = OFF")  # some systems build SQLite with it on: promoting takes twice as long
    return db


def _private() -> Database:
    """For a dry run. It spills into an unnamed temporary file when it is larger than the cache."""
    with plain_errors(None):
        db = sqlite3.connect("", isolation_level=None, check_same_thread=False, factory=Database)
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA journal_mode = MEMORY")  # a job that fails is still rolled back
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute("PRAGMA recursive_triggers = ON")  # a page that is replaced takes its content along
        _migrate(db, 0)
    return db


def _prepare(db: Database, path: Path, *, check: bool) -> None:
    version = _version(db, path)
    network = _network(path.parent)
    mode = "DELETE" if network else "WAL"
    db.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file; an old one stays as it is
    got = str(db.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0]).upper()
    if network:
        db.note = f"{path} is on a network file system ({network}): it is slower, and less safe, than on a local disk"
    elif got != mode:
        db.note = f"{path}: this file system allows no write-ahead log, so the state is slower"
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA journal_size_limit = 0")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    db.execute("PRAGMA recursive_triggers = ON")  # a page that is replaced takes its content along
    db.unchecked = version > 0 and not _was_clean(db)
    if db.unchecked and check:
        _quick_check(db, path)
        db.unchecked = False
    _migrate(db, version)
    db.execute("INSERT OR REPLACE INTO meta VALUES ('clean', 0)")


def _version(db: Database, path: Path) -> int:
    """`user_version`, if the database is one of ours, and not of a newer Hookline."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    application = db.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID and (
        application or version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ):
        raise StateError(f"{path}: is a database of another program; move it away, or choose another `state_dir`")
    if version > VERSION:
        what = f"was written by a newer version of Hookline (format {version}, this one knows {VERSION})"
        raise StateError(f"{path}: {what}; use that version, or start anew with `hookline state reset`")
    return version


def _was_clean(db: Database) -> bool:
    row = db.execute("SELECT value FROM meta WHERE key = 'clean'").fetchone()
    return row is not None and row[0] == 1


def _quick_check(db: Database, path: Path) -> None:
    found = [str(text) for (text,) in db.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        text = " ".join(found[0].removeprefix("*** in database main ***").split())
        raise StateError(f"{path}: is damaged ({text}); {_DAMAGED}")


def _migrate(db: Database, version: int) -> None:
    """One transaction a version, so that a kill leaves the one before or the one after."""
    for number in range(version, VERSION):
        # `executescript` would commit a transaction of ours first, so the script begins its own.
        first = f"PRAGMA application_id = {APPLICATION_ID};" if number == 0 else ""
        db.executescript(f"BEGIN IMMEDIATE;{first}{MIGRATIONS[number]};PRAGMA user_version = {number + 1};")
        hit("on_migrate")
        db.execute("COMMIT")
