"""A master's bus on free ports of loopback, and nodes with keys of their own."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.control.hub import Hub


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    """Ready to serve; closed with all its nodes."""
    it = Hub()
    yield it
    it.close()
