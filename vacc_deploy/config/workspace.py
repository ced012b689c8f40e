"""The ``workspace`` section: where artifacts go."""

from __future__ import annotations

import posixpath
from typing import Annotated, Any

from pydantic import AfterValidator

from vacc_deploy.config.section import Bool, Int, Section, Text


class WorkspaceConfig(Section):
    """``workspace``; artifacts go to ``<path>/<name>/mod.*``, relative to the working directory."""

    path: Annotated[Text, AfterValidator(posixpath.normpath)] = "deploy_weights"
    enable_ir: Bool | None = None
    save_log: Bool | None = None
    env_recheck: Bool | None = None
    workers: Int | None = None
    pyenv: dict[str, Any] | None = None

    @property
    def stays_inside(self) -> bool:
        """Whether the path stays below the working directory."""
        return not posixpath.isabs(self.path) and self.path.split("/")[0] != ".."
