"""Collections page by page: one walks through them as if they were whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar

from .call import Call
from .frames import frame_of
from .models.base import Page
from .steps import Flow

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")
Perform = Callable[[Call[Page[T]]], Flow[Page[T]]]


def _following(call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
    """The call of the page after a page."""
    cursor = page.following
    return call.ask(*cursor) if cursor else None


class Pager(Generic[T]):
    """What a list answers: iterate over it for all items, over `pages()` for whole pages. Nothing is asked before that."""

    def __init__(self, perform: Perform[T], run: Callable[[Flow[Any]], Any], call: Any) -> None:
        self._perform = perform
        self._run = run
        self._call: Call[Page[T]] = call

    def pages(self) -> Iterator[Page[T]]:
        """Page by page, each asked for when it is needed."""
        call: Call[Page[T]] | None = self._call
        while call is not None:
            page: Page[T] = self._run(self._perform(call))
            yield page
            call = _following(call, page)

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    def page(self) -> Page[T]:
        """The first page, with what it says besides its items, such as `total_count`."""
        return next(self.pages())

    def first(self) -> T | None:
        """The first item, if there is any."""
        return next(iter(self), None)

    def all(self) -> list[T]:
        """All items."""
        return list(self)

    def to_pandas(self, *, exact: bool = True) -> pandas.DataFrame:
        """All items as a table; amounts stay `Decimal`, or become floats with `exact=False`."""
        return frame_of(self.all(), exact=exact)


class AsyncPager(Generic[T]):
    """What a list answers: `async for` over it for all items, over `pages()` for whole pages. Nothing is asked before that."""

    def __init__(self, perform: Perform[T], run: Callable[[Flow[Any]], Any], call: Any) -> None:
        self._perform = perform
        self._run = run
        self._call: Call[Page[T]] = call

    async def pages(self) -> AsyncIterator[Page[T]]:
        """Page by page, each asked for when it is needed."""
        call: Call[Page[T]] | None = self._call
        while call is not None:
            page: Page[T] = await self._run(self._perform(call))
            yield page
            call = _following(call, page)

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def page(self) -> Page[T]:
        """The first page, with what it says besides its items, such as `total_count`."""
        page: Page[T] = await self._run(self._perform(self._call))
        return page

    async def first(self) -> T | None:
        """The first item, if there is any."""
        async for item in self:
            return item
        return None

    async def all(self) -> list[T]:
        """All items."""
        return [item async for item in self]

    async def to_pandas(self, *, exact: bool = True) -> pandas.DataFrame:
        """All items as a table; amounts stay `Decimal`, or become floats with `exact=False`."""
        return frame_of(await self.all(), exact=exact)
