"""Golden cases: the official networks' outputs and layer probes in ../shared/data/ref."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn


@dataclass(frozen=True)
class Golden:
    """One folder of ../shared/data/ref."""

    folder: Path

    def _json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    @property
    def manifest(self) -> dict[str, Any]:
        return self._json("manifest.json")

    def cases(self, weights: str) -> list[dict[str, Any]]:
        return [case for case in self._json("golden.json")["cases"] if case["weights"] == weights]

    @property
    def train_mode(self) -> dict[str, Any]:
        """The extra FSRNet case whose BatchNorm used the picture's own statistics."""
        return self._json("golden.json")["train_mode"]

    def weights(self) -> dict[str, np.ndarray]:
        """The seeded weights by the reference rule (an independent program in ../shared/data)."""
        path = self.folder.parent.parent / "seeded_weights.py"
        spec = importlib.util.spec_from_file_location("seeded_weights", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.seeded_weights(self.manifest)

    def input(self, case: dict[str, Any]) -> torch.Tensor:
        with np.load(self.folder / f"input_{case['case']}.npz") as data:
            if "input" in data:
                return torch.from_numpy(data["input"])
            scaled = (data["input_u8"] / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
        return torch.from_numpy(scaled.transpose(2, 0, 1)[np.newaxis].astype(np.float32))

    def check(self, case: dict[str, Any], outputs: dict[str, np.ndarray], factor: float = 10.0) -> None:
        """Compare with what is stored, within `factor` times the stated float32 error."""
        with np.load(self.folder / case["file"]) as data:
            stored = dict(data)
        for name, output in outputs.items():
            limit = factor * case["max_abs_err_vs_float64"][name]
            assert list(output.shape) == case["outputs"][name]["shape"]
            if name in stored:
                assert np.abs(output - stored[name]).max() <= limit
                continue
            top, left = stored[f"{name}_crop_yx"]
            crop = stored[f"{name}_crop_f32"]
            part = output[..., top : top + crop.shape[-2], left : left + crop.shape[-1]]
            assert np.abs(part - crop).max() <= limit
            assert np.abs(output[..., ::8, ::8] - stored[f"{name}_stride8_f32"]).max() <= limit

    def run_with_probes(
        self, case: dict[str, Any], network: nn.Module, example: torch.Tensor
    ) -> tuple[int, Any]:
        """Compare every layer that holds weights with its probe.

        Returns:
            How many were compared, and the network's outputs.
        """
        probes = {
            (probe["module"], probe["call"]): probe for probe in self._json(case["probes"]) if probe["module"]
        }
        calls: Counter[str] = Counter()
        compared = 0
        names = {
            module: name
            for name, module in network.named_modules()
            if any(True for _ in module.parameters(recurse=False))
        }

        def probe(module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            nonlocal compared
            name = names[module]
            expected = probes.get((name, calls[name]))
            calls[name] += 1
            if expected is None:
                return
            flat = output.detach().numpy().ravel()
            last = flat.size - 1
            values = flat[[0, last // 3, 2 * last // 3, last]]
            tolerance = 1e-4 * max(1.0, abs(expected["mean"]) + 5 * expected["std"])
            assert list(output.shape) == expected["shape"], name
            np.testing.assert_allclose(values, expected["sample"], rtol=0, atol=tolerance, err_msg=name)
            compared += 1

        handles = [module.register_forward_hook(probe) for module in names]
        try:
            with torch.inference_mode():
                outputs = network(example)
        finally:
            for handle in handles:
                handle.remove()
        return compared, outputs


@pytest.fixture
def golden(shared_data: Path) -> Any:
    """Makes a `Golden` from a folder name."""
    return lambda name: Golden(shared_data / "ref" / name)
