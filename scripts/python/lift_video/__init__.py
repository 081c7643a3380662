"""Time-aware video embeddings (LiFT) from Python: a thin layer over the program ``lift``.

>>> import lift_video
>>> result = lift_video.embed(["opening.mp4", "closing.mp4"])
>>> result["concat"].shape
(2, 768)

A video that cannot be read is no exception: it has no row, and ``result.failures`` says why. For many calls keep one
process, which loads the models once:

>>> with lift_video.Embedder(parts=["concat", "frames"]) as embedder:
...     result = embedder.embed(paths)
"""

from __future__ import annotations

import atexit
import collections
import json
import math
import os
import shutil
import subprocess
import sysconfig
import threading
import weakref
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Union

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import pandas

__all__ = ["Embedder", "Embeddings", "Failure", "LiftError", "embed", "program"]

PathLike = Union[str, "os.PathLike[str]"]
#: Called with the number of videos that are done and the number of all.
Progress = Callable[[int, int], None]

#: The columns of the program's answers that are not named as their part.
_COLUMNS = {"frames": "frame_features"}
#: Exit codes of ``lift`` that a new process would meet again: usage, a missing or wrong input, writing.
_FINAL_EXITS = (2, 3, 4)


class LiftError(RuntimeError):
    """``lift`` could not run at all (wrong options, missing weights); the message is the program's own.

    ``exit_code`` is the program's exit code, or ``None`` if it did not start.
    """

    def __init__(self, message: str, exit_code: Optional[int] = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Failure:
    """A video without an embedding."""

    #: Its place among the paths of the call, from 0.
    index: int
    id: str
    path: str
    #: Where it failed: ``open``, ``decode``, ... or ``crash``.
    stage: str
    #: What went wrong, with the remedy.
    error: str


@dataclass
class Embeddings:
    """The rows of the videos that succeeded, in the order of the call."""

    #: An array per part, f32: ``concat``, ``reversed``, ``odd`` and ``even (B, 2W)``, ``static`` and ``dynamic (B, W)``,
    #: ``mean (B, D)``, ``frames`` and ``reconstructed (B, T, D)``.
    parts: Dict[str, np.ndarray]
    #: The id of each row.
    ids: List[str]
    #: The path of each row, as given.
    paths: List[str]
    #: The place of each row among the paths of the call, from 0.
    index: List[int]
    #: Frames per second of each video; NaN where the file does not say.
    fps: List[float] = field(default_factory=list)
    #: Seconds of each video; NaN where the file does not say.
    duration: List[float] = field(default_factory=list)
    #: With ``keyframes=True``: how many different key frames each row is made of; 0 where its exact frames were taken.
    key_frames: List[Optional[int]] = field(default_factory=list)
    #: The videos that have no row.
    failures: List[Failure] = field(default_factory=list)

    def __getitem__(self, part: str) -> np.ndarray:
        """The array of a part."""
        return self.parts[part]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.ids)

    def to_pandas(self) -> "pandas.DataFrame":
        """A table with the columns ``id``, ``path``, ``fps``, ``duration`` and one array per row and part."""
        import pandas

        columns: Dict[str, Any] = {"id": self.ids, "path": self.paths, "fps": self.fps, "duration": self.duration}
        columns.update({name: list(values) for name, values in self.parts.items()})
        return pandas.DataFrame(columns, index=pandas.Index(self.index, name="index"))


def program() -> str:
    """The path of the program ``lift``: ``LIFT_BINARY``, else the one of this Python's environment, else the one on ``PATH``."""
    named = os.environ.get("LIFT_BINARY")
    if named:
        return named
    beside = shutil.which("lift", path=sysconfig.get_path("scripts"))
    found = beside or shutil.which("lift")
    if found is None:
        raise LiftError("the program lift was not found: install the package lift-video, or set LIFT_BINARY to its path")
    return found


def embed(
    paths: Union[PathLike, Iterable[PathLike]],
    *,
    ids: Optional[Sequence[str]] = None,
    progress: Union[bool, Progress] = False,
    **options: Any,
) -> Embeddings:
    """Embeds videos with a process of its own; ``options`` are those of :class:`Embedder`.

    Raises :class:`LiftError` if the program cannot run. A broken video is a :class:`Failure` of the result.
    """
    with Embedder(**options) as embedder:
        return embedder.embed(paths, ids=ids, progress=progress)


@dataclass
class _Request:
    """A video that waits for its answer."""

    line: bytes
    future: "Future[Dict[str, Any]]"


class _Process:
    """One run of the program: requests go in as JSON lines, answers come out as record batches, in order."""

    def __init__(self, command: Sequence[str]) -> None:
        try:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Ctrl-C is this Python's to handle. The program ends by itself when its standard input does.
                start_new_session=True,
            )
        except OSError as error:
            raise LiftError(f"{command[0]}: cannot be started: {error}") from error
        #: The requests that the program has and has not answered, oldest first.
        self.pending: Deque[_Request] = collections.deque()
        self.last_lines: Deque[str] = collections.deque(maxlen=20)
        # An undrained pipe would stop the program once it is full.
        self.drain = threading.Thread(target=self._drain, daemon=True)
        self.drain.start()

    def _drain(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.last_lines.append(line.decode("utf-8", "replace").rstrip())

    def message(self) -> str:
        """What the program said last."""
        self.drain.join(timeout=5)
        said = [line for line in self.last_lines if line.strip()]
        return "\n".join(said[-3:]) or f"lift ended with exit code {self.popen.poll()}"


#: The embedders that are not closed.
_open: "weakref.WeakSet[Embedder]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for embedder in list(_open):
        embedder.close()


class Embedder:
    """One ``lift`` process that loads the models once and embeds videos from any number of threads.

    The process ends with the ``with`` block, with :meth:`close`, or with this Python. If it dies (a crash in a decoder, the
    kernel for want of memory), a new one takes its requests over one at a time, so that only the video that kills it fails.

    :param parts: what to compute: ``concat``, ``static``, ``dynamic``, ``reversed``, ``odd``, ``even``, ``reconstructed``,
        ``frames``, ``mean`` (``lift help formats`` describes each).
    :param frames: frames per video, evenly spaced from the first to the last; at least 2.
    :param model: ``full``, the published networks (downloaded once), or ``mini``, a small bundled pair for trying the program.
    :param dinov2: another frame encoder: a file, a hub id or a URL.
    :param lift: another LiFT: a file, a hub id or a URL.
    :param start, end: the range of every video, in seconds.
    :param keyframes: take the nearest key frame instead of each frame: much faster on videos of minutes, other embeddings.
    :param reverse: mirror every clip in time.
    :param normalize: scale every vector to length 1.
    :param allow_truncated: take the frames that are there of a truncated or damaged file.
    :param timeout: give up on a video that is not read within so many seconds.
    :param threads: worker threads; one per core if absent.
    :param precision: ``f32``, ``bf16``, ``bf16x3`` or ``f16``.
    :param device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    :param offline: never use the network.
    """

    def __init__(
        self,
        parts: Union[str, Sequence[str]] = ("concat",),
        frames: int = 16,
        *,
        model: str = "full",
        dinov2: Optional[PathLike] = None,
        lift: Optional[PathLike] = None,
        start: Optional[float] = None,
        end: Optional[float] = None,
        keyframes: bool = False,
        reverse: bool = False,
        normalize: bool = False,
        allow_truncated: bool = False,
        timeout: Optional[float] = None,
        threads: Optional[int] = None,
        precision: Optional[str] = None,
        device: Optional[str] = None,
        offline: bool = False,
    ) -> None:
        self.parts: List[str] = [parts] if isinstance(parts, str) else list(parts)
        command = [program(), "embed", "--stream=arrow", "--quiet"]
        values: Mapping[str, Any] = {
            "--parts": ",".join(self.parts),
            "--frames": frames,
            "--model": model,
            "--dinov2": dinov2,
            "--lift": lift,
            "--start": start,
            "--end": end,
            "--timeout": timeout,
            "--threads": threads,
            "--precision": precision,
            "--device": device,
        }
        for flag, value in values.items():
            if value is not None:
                command += [flag, os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
        switches = {
            "--keyframes": keyframes,
            "--reverse": reverse,
            "--normalize": normalize,
            "--allow-truncated": allow_truncated,
            "--offline": offline,
        }
        command += [flag for flag, on in switches.items() if on]
        self._command = command
        # Guards all that follows; the writing of a request has a lock of its own, since a full pipe blocks it.
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._process: Optional[_Process] = None
        self._reader: Optional[threading.Thread] = None
        self._error: Optional[LiftError] = None
        self._closed = False
        _open.add(self)

    def __enter__(self) -> "Embedder":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process. Requests in other threads that have no answer yet end with :class:`LiftError`."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
            reader = self._reader
        if process is not None:
            try:
                assert process.popen.stdin is not None
                process.popen.stdin.close()
            except OSError:
                pass  # The process is gone already.
            try:
                process.popen.wait(timeout=0 if process.pending else 10)
            except subprocess.TimeoutExpired:
                process.popen.kill()
                process.popen.wait()
        # A thread that still reads while Python ends would abort it.
        if reader is not None and reader is not threading.current_thread():
            reader.join()

    def embed(
        self,
        paths: Union[PathLike, Iterable[PathLike]],
        *,
        ids: Optional[Sequence[str]] = None,
        progress: Union[bool, Progress] = False,
    ) -> Embeddings:
        """Embeds videos and waits for all of them.

        :param ids: an id per path; default is the file's name without its extension, or the path where two paths share it.
        :param progress: a function of (done, total), or ``True`` for a tqdm bar where tqdm is installed.
        """
        names = [os.fspath(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
        if ids is not None and len(ids) != len(names):
            raise ValueError(f"{len(names)} paths and {len(ids)} ids were given; each path needs one id")
        own = list(ids) if ids is not None else _ids(names)
        futures = [self._ask({"path": path, "id": name}) for path, name in zip(names, own)]
        answers = []
        with _bar(progress, len(futures)) as advance:
            for done, future in enumerate(futures, start=1):
                answers.append(future.result())
                advance(done, len(futures))
        return self._collect(names, own, answers)

    def _ask(self, request: Dict[str, Any]) -> "Future[Dict[str, Any]]":
        asked = _Request((json.dumps(request) + "\n").encode(), Future())
        self._send(asked)
        return asked.future

    def _send(self, request: _Request) -> None:
        """Hands a request to the process, which is started if there is none."""
        with self._writing:
            with self._lock:
                if self._error is not None:
                    raise LiftError(str(self._error), self._error.exit_code)
                if self._closed:
                    raise LiftError("this Embedder is closed")
                if self._process is None:
                    self._process = _Process(self._command)
                    self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
                    self._reader.start()
                process = self._process
                process.pending.append(request)
            try:
                assert process.popen.stdin is not None
                process.popen.stdin.write(request.line)
                process.popen.stdin.flush()
            except (OSError, ValueError):
                pass  # The process is gone: its reader takes care of what is pending.

    def _read(self, process: _Process) -> None:
        """Gives each pending request its answer, until the process ends."""
        try:
            assert process.popen.stdout is not None
            reader = pa.ipc.open_stream(process.popen.stdout)
            for batch in reader:
                answer = _answer(batch, self.parts)
                with self._lock:
                    request = process.pending.popleft()
                request.future.set_result(answer)
        except (pa.ArrowInvalid, OSError, ValueError):
            pass  # The stream broke off; the exit code says why.
        code = process.popen.wait()
        with self._lock:
            if self._process is process:
                self._process = None
            left = list(process.pending)
            process.pending.clear()
            if code in _FINAL_EXITS and not self._closed:
                self._error = LiftError(process.message(), code)
            error = self._error or (LiftError("the Embedder was closed before this video was done") if self._closed else None)
        if error is not None:
            for request in left:
                request.future.set_exception(LiftError(str(error), error.exit_code))
        elif left:
            self._retry(left, code)

    def _retry(self, requests: List[_Request], code: int) -> None:
        """Embeds what a dead process left, each with no other beside it, so that the one that kills the process is found."""
        for request in requests:
            lone = _Process(self._command)
            answer: Optional[Dict[str, Any]] = None
            try:
                assert lone.popen.stdin is not None and lone.popen.stdout is not None
                lone.popen.stdin.write(request.line)
                lone.popen.stdin.close()
                for batch in pa.ipc.open_stream(lone.popen.stdout):
                    answer = _answer(batch, self.parts)
            except (pa.ArrowInvalid, OSError, ValueError):
                answer = None
            code = lone.popen.wait()
            if answer is None:
                what = f"signal {-code}" if code < 0 else f"exit code {code}"
                error = f"lift died on this video ({what}): {lone.message()}"
                answer = {"status": "failed", "stage": "crash", "error": error}
            request.future.set_result(answer)

    def _collect(self, names: List[str], ids: List[str], answers: List[Dict[str, Any]]) -> Embeddings:
        good = [at for at, answer in enumerate(answers) if answer["status"] == "ok"]
        parts = {}
        for part in self.parts:
            rows = [answers[at]["parts"][part] for at in good]
            parts[part] = np.stack(rows) if rows else np.empty((0,), dtype=np.float32)
        failures = [
            Failure(at, ids[at], names[at], answer["stage"], answer["error"])
            for at, answer in enumerate(answers)
            if answer["status"] != "ok"
        ]
        return Embeddings(
            parts=parts,
            ids=[ids[at] for at in good],
            paths=[names[at] for at in good],
            index=good,
            fps=[_number(answers[at]["fps"]) for at in good],
            duration=[_number(answers[at]["duration"]) for at in good],
            key_frames=[answers[at]["key_frames"] for at in good],
            failures=failures,
        )


def _answer(batch: pa.RecordBatch, parts: Sequence[str]) -> Dict[str, Any]:
    """An answer of the program as a dictionary; ``parts`` holds an array per part where the video succeeded."""
    names = ("status", "stage", "error", "fps", "duration")
    answer: Dict[str, Any] = {name: batch.column(name)[0].as_py() for name in names}
    answer["key_frames"] = batch.column("key_frames")[0].as_py() if "key_frames" in batch.schema.names else None
    if answer["status"] == "ok":
        answer["parts"] = {part: _array(batch, _COLUMNS.get(part, part)) for part in parts}
    return answer


def _array(batch: pa.RecordBatch, column: str) -> np.ndarray:
    """The one row of a column of lists, in the shape that the column's metadata give."""
    metadata = batch.schema.field(column).metadata or {}
    values = batch.column(column).flatten().to_numpy(zero_copy_only=False)
    shape = json.loads(metadata[b"shape"]) if b"shape" in metadata else [len(values)]
    return np.array(values, dtype=np.float32).reshape(shape)


def _number(value: Optional[float]) -> float:
    return math.nan if value is None else value


def _ids(paths: Sequence[str]) -> List[str]:
    """The file names without their extensions; the paths where two of them share one."""
    stems = [os.path.splitext(os.path.basename(path))[0] for path in paths]
    counts = collections.Counter(stems)
    return [stem if counts[stem] == 1 else path for stem, path in zip(stems, paths)]


@contextmanager
def _bar(progress: Union[bool, Progress], total: int) -> Iterator[Progress]:
    """What is told of each video that is done."""
    if callable(progress):
        yield progress
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        progress = False
    if not progress:
        yield lambda done, total: None
        return
    with tqdm(total=total, unit="video") as bar:
        yield lambda done, total: bar.update(1) and None
