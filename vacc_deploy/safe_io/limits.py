"""How much one file may ask of this machine; every reader refuses what lies beyond, before allocating.

The figures leave at least a factor of ten over the largest file of the vendor's model zoo.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30

# Text
MAX_YAML_BYTES: Final = 1 * MIB
MAX_YAML_NODES: Final = 50_000  # after aliases are expanded
MAX_JSON_BYTES: Final = 16 * MIB  # a run stream of thousands of operators
MAX_JSON_VALUES: Final = 500_000
MAX_CONFIG_BYTES: Final = 256 * KIB  # a JSON that a person wrote, read with the places of its values
MAX_TEXT_BYTES: Final = 32 * MIB
MAX_LINES: Final = 1_000_000  # of a datalist
MAX_DEPTH: Final = 32  # nesting of YAML and JSON
MAX_NUMBER_CHARS: Final = 64  # int() is quadratic in the number of digits

# Archives and arrays
MAX_ARCHIVE_MEMBERS: Final = 100_000
MAX_MEMBER_NAME: Final = 512
MAX_EXPANDED_BYTES: Final = 4 * GIB  # of all members together
MAX_EXPANSION: Final = 200  # uncompressed over compressed size, checked above SMALL_EXPANSION
SMALL_EXPANSION: Final = 16 * MIB  # a mask of zeros compresses a thousandfold and is harmless when small
MAX_ARRAY_BYTES: Final = 2 * GIB
MAX_ARRAY_RANK: Final = 16

# Models and weights
MAX_MODEL_BYTES: Final = 2 * GIB  # what protobuf can hold, external data included
MAX_MODEL_FIELDS: Final = 500_000  # about 20 make one node
MAX_CHECKPOINT_BYTES: Final = 8 * GIB
MAX_ARTIFACT_BYTES: Final = 8 * GIB
MAX_PICKLE_BYTES: Final = 16 * MIB  # the object graph of a checkpoint, without its tensors
MAX_PICKLE_OPCODES: Final = 500_000  # about 45 make one tensor
MAX_SAFETENSORS_HEADER: Final = 16 * MIB

# Pictures
MAX_IMAGE_BYTES: Final = 128 * MIB
MAX_JPEG_SCANS: Final = 100  # an ordinary progressive JPEG has about ten
MAX_IMAGE_PIXELS: Final = 100_000_000  # three times an 8K frame
