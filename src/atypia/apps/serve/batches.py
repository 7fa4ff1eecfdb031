"""Crops of all requests, classified together: a batch costs less than its crops one by one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

from atypia.errors import AtypiaError
from atypia.inference.crops import Failure, ReadFigure, read_figure
from atypia.inference.predictor import BatchScores, Predictor
from atypia.inference.sources import Figure

_log = logging.getLogger(__name__)

MOST_WAITING = 512
"""Crops that are being read or wait for the network; who brings more is told to come again."""

_WAIT_S = 0.003

Row = dict[str, Any] | Failure
_Place = tuple[ReadFigure, "asyncio.Future[Row]"]


def _ignore(size: int) -> None:
    """Measure nothing."""


class FullError(AtypiaError):
    """More crops than may wait."""


class NetworkError(AtypiaError):
    """The network could not compute a batch."""


class Batches:
    """Takes crops of many requests, and gives each its row; used inside `running`.

    Attributes:
        waiting: crops that were taken and have no row yet.
    """

    def __init__(self, predictor: Predictor, on_batch: Callable[[int], None] = _ignore) -> None:
        """Take crops for a predictor; `on_batch` is told how many each batch holds."""
        self.waiting = 0
        self._predictor, self._on_batch = predictor, on_batch
        self._queue: asyncio.Queue[_Place] = asyncio.Queue()
        self._reading: ThreadPoolExecutor

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Classify what is taken; at the end, first what was taken."""
        runtime = self._predictor.runtime
        with ThreadPoolExecutor(runtime.threads, "read") as self._reading, runtime.pool() as pool:
            workers = [asyncio.create_task(self._work(pool)) for _ in range(runtime.workers)]
            try:
                yield
                while self.waiting:
                    await asyncio.sleep(_WAIT_S)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    def require_room(self, crops: int) -> None:
        """Refuse crops for which there is no room.

        Raises:
            FullError: with these, more crops would wait than may.
        """
        if self.waiting + crops > MOST_WAITING:
            raise FullError(f"{self.waiting} crops wait already; try again")

    async def classify(self, figures: Sequence[Figure]) -> list[Row]:
        """Return a row of the predictions table for each figure, or why there is none, in order.

        Raises:
            FullError: with these, more crops would wait than may.
            NetworkError: the network could not compute a batch.
        """
        self.require_room(len(figures))
        self.waiting += len(figures)
        try:
            return await asyncio.gather(*map(self._classify_one, figures))
        finally:
            self.waiting -= len(figures)

    async def _classify_one(self, figure: Figure) -> Row:
        loop = asyncio.get_running_loop()
        spec = self._predictor.crop_spec
        read = await loop.run_in_executor(self._reading, read_figure, figure, spec)
        if isinstance(read.crop, Failure):
            return read.crop
        row: asyncio.Future[Row] = loop.create_future()
        self._queue.put_nowait((read, row))
        return await row

    async def _work(self, pool: ThreadPoolExecutor) -> None:
        """Compute batches, one after the other, for as long as the server runs."""
        loop = asyncio.get_running_loop()
        while True:
            places = await self._take()
            self._on_batch(len(places))
            try:
                scores = await loop.run_in_executor(
                    pool, self._predictor.score, [read for read, _ in places]
                )
            except Exception as fault:  # the next batch may well be computed
                _log.error("a batch of %d crops failed: %s", len(places), fault)
                _refuse(places, NetworkError("these crops could not be computed; try again"))
            else:
                _answer(places, scores)

    async def _take(self) -> list[_Place]:
        """Wait for a crop, and shortly for others."""
        places = [await self._queue.get()]
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                while len(places) < self._predictor.batch_size:
                    places.append(await self._queue.get())
        return places


def _answer(places: Sequence[_Place], scores: BatchScores) -> None:
    for (_, row), values in zip(places, scores.frame.to_dict("records"), strict=True):
        if not row.done():
            row.set_result({str(name): value for name, value in values.items()})


def _refuse(places: Sequence[_Place], fault: Exception) -> None:
    for _, row in places:
        if not row.done():
            row.set_exception(fault)
