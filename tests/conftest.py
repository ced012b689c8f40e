"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

_CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real weights, pictures and goldens that lies beside the checkout."""
    folder = _CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs real weights and pictures in ../shared/data, which this machine does not have")
    return folder


@pytest.fixture(scope="session")
def shared_zoo() -> Path:
    """The vendor's public build YAMLs and vdsp JSONs, beside the checkout."""
    folder = _CHECKOUT.parent / "shared" / "zoo"
    if not folder.is_dir():
        pytest.skip("needs the vendor's public configs in ../shared/zoo, which this machine does not have")
    return folder
