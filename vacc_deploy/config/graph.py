"""The ``graph`` section: operators added behind the network."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from vacc_deploy.config.section import Section

ExtraOpType = Literal[
    "softmax", "insert_odma", "yolov3_nms", "yolov4_nms", "yolov5_nms", "yolov6_nms", "yolov7_nms",
    "yolov8_nms", "yolov9_nms", "yolov10_nms", "yolov11_nms", "yolov12_nms", "yolox_nms", "retinaface_nms",
    "centerpoint_nms", "pointpillar_nms",
]  # fmt: skip

# Parameters that some operator of the family takes; which one takes which is the card's business.
EXTRA_OP_PARAMETERS = frozenset(
    {
        "anchor", "anchor_heights", "anchor_rotations", "anchor_size", "confidence_thresh",
        "confidence_threshold", "dir_limit_offset", "dir_offset", "feature_map_stride", "grid_stride",
        "max_obj_per_sample", "nms_post_max", "nms_pre_max", "nms_thresh", "nms_threshold", "nms_topk",
        "num_classes", "point_cloud_range", "post_center_limit_range", "post_nms", "score_thresh",
        "seg_enable", "strides", "voxel_size",
    }
)  # fmt: skip


class ExtraOp(Section):
    """``graph.extra_ops``: softmax over the first output, or a detector's post-processing."""

    type: ExtraOpType | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    extra_ops: None = None  # a stray nested key of the zoo's yolov6


class GraphConfig(Section):
    """``graph``."""

    extra_ops: ExtraOp | None = None
