"""What a vaststreamx script meets where the emulation ends."""

from __future__ import annotations

from vacc_deploy.errors import RunError


class UnsupportedError(RunError):
    """The script asks for a part of the card that is not emulated; the message names it."""

    code = "E710"
