"""Which networks are measured: recipes of this project with the weights they come with, or ONNX files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT = ("vdsr", "lesrcnn:x2", "lesrcnn:x4", "fsrnet:running", "sparnet:light_attn3d", "gpen:512")


@dataclass(frozen=True, slots=True)
class Network:
    """A float model on disk.

    Attributes:
        name: What the tables call it.
        model: Its ONNX file.
        folder: Where everything that is made from it lies.
    """

    name: str
    model: Path
    folder: Path

    def artifact(self, dtype: str) -> Path:
        """Prefix of our artifact."""
        return self.folder / dtype / "mod"

    @property
    def float_model(self) -> Path:
        """The frontend's clean ONNX: what every contender's float form is made from."""
        return self.folder / "float.onnx"

    @property
    def quantized(self) -> Path:
        """Our quantized.onnx with uint8 activations, which all three runtimes compute in integers."""
        return self.folder / "quantized.onnx"

    @property
    def nncf(self) -> Path:
        """OpenVINO's own int8 model of the float one."""
        return self.folder / "nncf.xml"


def find_network(name: str, workspace: Path) -> Network:
    """The network that `name` means, exported if it is a recipe.

    Args:
        name: ``vdsr``, ``lesrcnn:x2`` (recipe and variant), either with ``@HEIGHTxWIDTH``, or an ONNX file.
        workspace: Folder for everything that is made.

    Raises:
        VdeployError: There is no such recipe, or it does not exist at that size.
    """
    if name.endswith(".onnx"):
        path = Path(name)
        return Network(path.stem, path, workspace / path.stem)
    title = name.replace(":", "_")
    folder = workspace / title
    exported = sorted(folder.glob("exported/*.onnx"))
    if not exported:
        exported = [_export(name, folder / "exported")]
    return Network(title, exported[0], folder)


def _export(name: str, folder: Path) -> Path:
    from vacc_deploy.export.exporter import export_model
    from vacc_deploy.export.registry import find_recipe

    stem, _, size = name.partition("@")
    recipe, _, variant = stem.partition(":")
    height_width = tuple(int(side) for side in size.split("x")) if size else None
    pair = (height_width[0], height_width[1]) if height_width else None
    return export_model(
        find_recipe(recipe, variant or None), size=pair, out_dir=folder, formats=["onnx"]
    ).files["onnx"]
