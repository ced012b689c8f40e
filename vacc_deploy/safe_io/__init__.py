"""The one door for files: everything this package reads or writes passes through here, with limits.

Readers refuse what is not what its name says, before allocating, and never execute anything.  Writers replace
a file or folder as a whole or not at all.  Every failure is one `vacc_deploy.errors.FileError`: the file, the
reason, the remedy.
"""

from vacc_deploy.safe_io.archive import Archive, open_archive
from vacc_deploy.safe_io.atomic import open_atomic, write_bytes_atomic, write_text_atomic
from vacc_deploy.safe_io.checkpoint import check_torchscript, is_torchscript, read_checkpoint
from vacc_deploy.safe_io.image import FORMATS, SUFFIXES, image_size, picture_files, read_image, write_image
from vacc_deploy.safe_io.npz import read_npy, read_npz, write_npz
from vacc_deploy.safe_io.onnx_file import read_onnx
from vacc_deploy.safe_io.positions import KeyPath, Position, Positions
from vacc_deploy.safe_io.safetensors_file import (
    read_safetensors,
    read_safetensors_metadata,
    write_safetensors,
)
from vacc_deploy.safe_io.source import (
    CONTROL_CHARACTERS,
    PathLike,
    file_error,
    open_source,
    read_bytes,
    read_lines,
    read_text,
    sha256_of,
)
from vacc_deploy.safe_io.staged import staged_directory
from vacc_deploy.safe_io.strict_json import parse_json, read_json, read_json_document, read_json_located
from vacc_deploy.safe_io.strict_yaml import parse_yaml, read_yaml

__all__ = [
    "CONTROL_CHARACTERS",
    "FORMATS",
    "SUFFIXES",
    "Archive",
    "KeyPath",
    "PathLike",
    "Position",
    "Positions",
    "check_torchscript",
    "file_error",
    "image_size",
    "is_torchscript",
    "open_archive",
    "open_atomic",
    "open_source",
    "parse_json",
    "parse_yaml",
    "picture_files",
    "read_bytes",
    "read_checkpoint",
    "read_image",
    "read_json",
    "read_json_document",
    "read_json_located",
    "read_lines",
    "read_npy",
    "read_npz",
    "read_onnx",
    "read_safetensors",
    "read_safetensors_metadata",
    "read_text",
    "read_yaml",
    "sha256_of",
    "staged_directory",
    "write_bytes_atomic",
    "write_image",
    "write_npz",
    "write_safetensors",
    "write_text_atomic",
]
