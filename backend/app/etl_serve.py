"""The pipeline's page, figures and health over HTTP, for this machine alone."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from models.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from starlette.requests import Request

    from app.etl_metrics import EtlMetrics

HOST = "127.0.0.1"
_START_S = 10.0


@dataclass(slots=True)
class Health:
    """How the pipeline is; written by who runs it, read by who asks.

    Attributes:
        last_status: complete, partial or failed; None before the first run ended.
        last_ended: When.
        last_error: Why it failed, one sentence.
        coming: When the next run is due.
        run_id: Of the run that goes on, or of the last one.
    """

    last_status: str | None = None
    last_ended: datetime | None = None
    last_error: str | None = None
    coming: datetime | None = None
    run_id: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def as_object(self) -> dict[str, Any]:
        """Return it as one JSON object; `ok` is false after a run that failed."""
        with self.lock:
            return {
                "ok": self.last_status != "failed",
                "last_status": self.last_status,
                "last_ended": self.last_ended and self.last_ended.isoformat(),
                "last_error": self.last_error,
                "next_run": self.coming and self.coming.isoformat(),
                "run_id": self.run_id,
            }


def application(metrics: EtlMetrics, health: Health, page: Callable[[], str]) -> Starlette:
    """Return the application: `/`, `/metrics` and `/health` (503 after a run that failed).

    Args:
        metrics: Figures.
        health: How the pipeline is.
        page: Makes the page; asked in a thread.
    """

    async def show(_request: Request) -> Response:
        return HTMLResponse(await run_in_threadpool(page))

    async def figures(_request: Request) -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def say(_request: Request) -> Response:
        found = health.as_object()
        return JSONResponse(found, 200 if found["ok"] else 503)

    routes = [Route("/", show), Route("/metrics", figures), Route("/health", say)]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return Starlette(routes=routes, middleware=[hosts])


@contextmanager
def serving(app: Starlette, port: int) -> Iterator[int]:
    """Serve on the loopback address while the block lasts; yield the port.

    Raises:
        ConfigError: The port cannot be used.
    """
    try:
        bound = socket.create_server((HOST, port))
    except OSError as error:
        raise ConfigError(
            f"--serve {port} cannot be used ({error.strerror}): name another port"
        ) from None
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [bound]}, name="etl-http", daemon=True
    )
    thread.start()
    deadline = time.monotonic() + _START_S
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield int(bound.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(_START_S)
        bound.close()
