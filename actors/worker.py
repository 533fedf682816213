"""The loop of every worker: one asyncio loop around one connection to the router.

A worker is a DEALER to the router, named `name#generation`; it answers requests on it and makes requests of its own
(`Worker.call`). State belongs to the loop; what blocks goes to `Worker.blocking` (a small thread pool) or to a job.

All messages of one wake-up are handled before anything is sent, and `before_send` runs in between: that is where the
metadata worker commits once for all of them.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from actors import outcall
from actors.answer import as_wharfie_error, error_frames, frames_of, with_id
from actors.call import Call, Result
from actors.control import Control, ControlClosed, DumpStack, Stop
from actors.running import Answered, Handler, Running, handlers
from wharfie import errors, protocol
from wharfie.carrier import Carrier
from wharfie.connection import UnixConnection
from wharfie.protocol import MAGIC, Routed

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger("worker")

T = TypeVar("T")
Frames = Sequence[bytes | memoryview]


class Worker:
    """One worker process's loop.

    Args:
        name: `content`, …; the router knows it by `name#generation`.
        control: the channel to the supervisor; its end is this process's end.
        backend: path of the inner socket of the router.
        heartbeat_s: how often the loop tells the supervisor that it turns.
    """

    def __init__(self, *, name: str, generation: int, control: Control, backend: str, heartbeat_s: float) -> None:
        self.name = name
        self.generation = generation
        self.control = control
        self._backend = backend
        self._heartbeat_s = heartbeat_s
        self._handlers: dict[str, Handler] = {}
        self._running: dict[int, Running] = {}
        self._by_key: dict[str, Running] = {}
        self._answered = Answered()
        self._outbox: deque[list[Any]] = deque()
        self._turn: list[tuple[Call, list[Any]]] = []
        self._flush_scheduled = False
        self._stopping: asyncio.Event | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._messages: dict[type[Any], Callable[[Any, list[int]], None]] = {}
        self.before_send: Callable[[], None] | None = None
        self.handled = 0
        self.out = outcall.OutCalls(self._post)
        self._post_hooks: list[Callable[[], Awaitable[None]]] = []

    # -- what services use ------------------------------------------------------------------------------------------

    def add(self, service: object) -> None:
        """Serve every handler of a service."""
        self._handlers.update(handlers(service))

    async def call(
        self,
        method: str,
        request: msgspec.Struct,
        reply: type[T],
        *,
        namespace: str = "",
        key: str = "",
        lease: str = "",
        timeout_s: float | None = 30.0,
        payload: Frames = (),
    ) -> T:
        """Ask another worker, through the router; sent again by itself when the router restarts.

        Raises:
            WharfieError: what the other answered; `DeadlineExceeded` after `timeout_s`.
        """
        return await self.out.call(
            method, request, reply, namespace=namespace, key=key, lease=lease, timeout_s=timeout_s, payload=payload
        )

    async def blocking(self, function: Callable[..., T], *args: Any) -> T:
        """Run what blocks (file and system calls) in the thread pool; its result comes back to the loop."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix=self.name)
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    def on_control(self, kind: type[Any], handler: Callable[[Any, list[int]], None]) -> None:
        """Hand control messages of a type (and their descriptors) to a handler."""
        self._messages[kind] = handler

    def on_stop(self, hook: Callable[[], Awaitable[None]]) -> None:
        """Run before the process ends in order."""
        self._post_hooks.append(hook)

    def spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """Start background work; an exception in it is logged, never lost."""

        async def guarded() -> None:
            try:
                await work
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("background work failed")

        return asyncio.get_running_loop().create_task(guarded())

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self, start: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        """Run until the supervisor says stop; `start` prepares the services and returns what goes with `ready`."""
        asyncio.run(self._main(start))

    async def _main(self, start: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._carrier = Carrier(
            UnixConnection(self._backend, identity=f"{self.name}#{self.generation}".encode()), self._on_messages
        )
        try:
            loop.add_reader(self.control.fileno(), self._on_control)
            info = await start()
            # Connecting announces this incarnation to the router (the probe); not before it can answer.
            self._carrier.start()
            self.control.ready(**info)
            self._beat()
            gc.freeze()
            gc.enable()
            await self._stopping.wait()
            for running in list(self._running.values()):
                if running.task is not None:
                    running.task.cancel()
            for hook in self._post_hooks:
                await hook()
            self._flush()
        finally:
            loop.remove_reader(self.control.fileno())
            self._carrier.stop(linger_s=0.1)
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """End the loop in order."""
        if self._stopping is not None:
            self._stopping.set()

    def _beat(self) -> None:
        try:
            self.control.beat(queue=len(self._carrier), in_flight=len(self._running), handled=self.handled)
        except ControlClosed:
            os._exit(0)
        asyncio.get_running_loop().call_later(self._heartbeat_s, self._beat)

    def _on_control(self) -> None:
        try:
            messages = self.control.receive()
        except ControlClosed:
            # The supervisor is gone, and with it the right to answer anybody.
            os._exit(0)
        for message, fds in messages:
            handler = self._messages.get(type(message))
            if handler is not None:
                handler(message, fds)
                continue
            for fd in fds:
                os.close(fd)
            if isinstance(message, Stop):
                self.stop()
            elif isinstance(message, DumpStack):
                self._log_tasks()

    def _log_tasks(self) -> None:
        """What every coroutine waits for; the supervisor's SIGUSR1 shows only where the loop is."""
        for task in asyncio.all_tasks():
            where = "".join(traceback.StackSummary.from_list(_stack(task)).format())
            log.warning("task %s\n%s", task.get_name(), where)

    def _on_messages(self, messages: list[list[Any]]) -> None:
        for frames in messages:
            try:
                self._on_message(frames)
            except Exception:
                log.exception("a message from the router could not be handled")
        self._flush()

    def _flush(self) -> None:
        """Commit what the handlers of this turn wrote, then send what they answered."""
        self._flush_scheduled = False
        outbox = self._outbox
        turn, self._turn = self._turn, []
        try:
            if self.before_send is not None:
                self.before_send()
        except Exception as error:
            # Nothing of this turn was stored, so nothing of it may be said.
            log.error("a commit failed: %s", error)
            turn = [(call, self._error(call.route, error, method=call.method)) for call, _ in turn]
        carrier = self._carrier
        for frames in outbox:
            carrier.post(frames)
        outbox.clear()
        for _, frames in turn:
            carrier.post(frames)
        carrier.flush()

    def _post(self, frames: list[Any]) -> None:
        """Queue frames; they leave at the end of this turn."""
        self._outbox.append(frames)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def post_soon(self) -> None:
        """Make sure that a commit and a send follow soon, for work that came from elsewhere than the socket."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    # -- requests ----------------------------------------------------------------------------------------------------

    def _on_message(self, frames: list[Any]) -> None:
        if len(frames) < 2 or frames[0] != MAGIC:
            return
        header = protocol.decode_routed(frames[1])
        kind = header.kind
        if kind == "request":
            self._on_request(header, frames[2] if len(frames) > 2 else b"\x80", frames[3:])
        elif kind == "credit":
            running = self._running.get(header.id)
            if running is not None:
                for _ in range(header.credits):
                    running.credits.release()
        elif kind == "cancel":
            self._cancel(header.id)
        else:
            self.out.on_answer(header, frames)

    def _cancel(self, route: int) -> None:
        running = self._running.pop(route, None)
        if running is None:
            return
        running.routes.remove(route)
        if not running.routes and running.task is not None:
            running.task.cancel()

    def _on_request(self, header: Routed, body: bytes, payload: list[Any]) -> None:
        self.handled += 1
        route = header.id
        handler = self._handlers.get(header.method)
        if handler is None:
            error = errors.Unimplemented(f"worker '{self.name}' does not serve '{header.method}'")
            self._post(self._error(route, error))
            return
        if header.deadline_ns and header.deadline_ns <= time.monotonic_ns():
            self._post(self._error(route, errors.DeadlineExceeded(f"the time for '{header.method}' is up")))
            return
        try:
            request = protocol.decode_body(body, handler.request, method=header.method)
        except errors.InvalidArgument as error:
            self._post(self._error(route, error))
            return
        call = Call(header, payload)
        if header.key and handler.shape != "stream" and self._join(header.key, route):
            return
        try:
            value = handler.function(call, request)
            if handler.shape == "plain" and not isinstance(value, Coroutine):
                self._turn.append((call, frames_of(route, "reply", value)))
                return
        except Exception as error:
            self._turn.append((call, self._error(route, error, method=header.method)))
            return
        running = Running(route, header.credits)
        self._running[route] = running
        if handler.shape == "stream":
            work = self._stream(running, value, header.method)
        else:
            if header.key:
                self._by_key[header.key] = running
            work = self._answer(running, value, call)
        running.task = asyncio.get_running_loop().create_task(work)

    def _join(self, key: str, route: int) -> bool:
        """A copy of a request that is being worked on waits for it; one that was answered gets the same answer."""
        running = self._by_key.get(key)
        # One that nobody waits for any more is being cancelled: its answer is no answer to a copy.
        if running is not None and running.routes:
            running.routes.append(route)
            self._running[route] = running
            return True
        frames = self._answered.find(key)
        if frames is None:
            return False
        again = list(frames)
        again[1] = with_id(again[1], route)
        self._post(again)
        return True

    async def _answer(self, running: Running, work: Awaitable[Any], call: Call) -> None:
        try:
            frames = frames_of(0, "reply", await work)
            self._answered.keep(call.key, frames)
        except asyncio.CancelledError:
            frames = self._error(0, errors.Cancelled(f"'{call.method}' was cancelled", maybe_done=True))
        except Exception as error:
            coded = as_wharfie_error(error, method=call.method, where=self.name)
            frames = self._error(0, coded)
            if not coded.retryable:
                self._answered.keep(call.key, frames)
        if call.key and self._by_key.get(call.key) is running:
            del self._by_key[call.key]
        for route in running.routes:
            self._running.pop(route, None)
            frames = list(frames)
            frames[1] = with_id(frames[1], route)
            self._post(frames)

    async def _stream(self, running: Running, items: Any, method: str) -> None:
        route = running.routes[0]
        end = protocol.encode(protocol.Header(id=route, kind="end"))
        last: bytes = b"\x80"
        try:
            async for item in items:
                if isinstance(item, Result):
                    last = protocol.encode(item.body)
                    continue
                await running.credits.acquire()
                self._post(frames_of(route, "item", item))
            self._post([MAGIC, end, last])
        except asyncio.CancelledError:
            self._post(self._error(route, errors.Cancelled(f"'{method}' was cancelled")))
        except Exception as error:
            self._post(self._error(route, error, method=method))
        finally:
            self._running.pop(route, None)
            await items.aclose()

    def _error(self, route: int, error: Exception, *, method: str = "") -> list[Any]:
        return error_frames(route, error, method=method, where=self.name)


def _stack(task: asyncio.Task[Any]) -> list[traceback.FrameSummary]:
    return [frame for top in task.get_stack() for frame in traceback.extract_stack(top, limit=1)]
