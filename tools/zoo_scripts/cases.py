"""Which scripts of the vendor's zoo are tried, and what each is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Pictures = Literal["jpg", "png", "x2", "x4", "scale_4"]
Family = Literal["super-resolution", "classification", "detection", "samples"]


@dataclass(frozen=True, slots=True)
class PictureNetwork:
    """Picture in, picture out: a 3×3 convolution that copies, then nearest-neighbour enlargement."""

    shape: tuple[int, int, int]  # channels, height, width
    scale: int = 1


@dataclass(frozen=True, slots=True)
class Classifier:
    """Convolution, global average, softmax."""

    shape: tuple[int, int, int]
    classes: int = 1000


@dataclass(frozen=True, slots=True)
class Detector:
    """Class ids, scores and boxes as the card's fused NMS leaves them: two objects, then -1."""

    shape: tuple[int, int, int]
    slots: int = 100


@dataclass(frozen=True, slots=True)
class RawHeads:
    """A detector without NMS: feature maps of these shapes, all of one low value."""

    shape: tuple[int, int, int]
    outputs: tuple[tuple[int, ...], ...]
    value: float = -6.0


@dataclass(frozen=True, slots=True)
class ShippedNetwork:
    """One of our own recipes, compiled from its build config to fp16 with its demo or seeded weights."""

    recipe: str
    config: str
    variant: str | None = None


Network = PictureNetwork | Classifier | Detector | RawHeads | ShippedNetwork | None


@dataclass(frozen=True, slots=True)
class Case:
    """One script.

    Args:
        script: Path inside the repository.
        family: Which arguments it takes.
        network: What it runs.
        vdsp: Path of its vdsp JSON inside the repository.
        pictures: How its input files are named.
        arguments: More arguments, in which names in braces are filled in.
        needs: What it imports beside NumPy and OpenCV.
        refused: What the emulation must name when it refuses the script; empty where the script must run.
        limit: Pictures to run; the full-HD scripts compute SSIM in double precision for half a minute each.
    """

    script: str
    family: Family
    network: Network
    vdsp: str = ""
    pictures: Pictures = "x2"
    arguments: tuple[str, ...] = ()
    needs: str = "tqdm"
    refused: str = ""
    limit: int = 2
    repository: Literal["zoo", "samples"] = field(default="zoo")


_SR = "cv/super_resolution"
_HD = (3, 1080, 1920)


def _sr(
    script: str, vdsp: str, network: Network, pictures: Pictures = "x2", needs: str = "tqdm", limit: int = 2
) -> Case:
    model = script.split("/")[0]
    return Case(
        f"{_SR}/{script}",
        "super-resolution",
        network,
        f"{_SR}/{model}/build_in/vdsp_params/{vdsp}-vdsp_params.json",
        pictures,
        needs=needs,
        limit=limit,
    )


_VSX = "build_in/vsx/python"

SUPER_RESOLUTION = (
    Case(
        f"cv/image_colorization/gpen/{_VSX}/official_vsx_inference.py",
        "super-resolution",
        ShippedNetwork("gpen", "official_gpen_colorization", "512_colorization"),
        "cv/image_colorization/gpen/build_in/vdsp_params/official-gpen-vdsp_params.json",
        "jpg",
    ),
    _sr(f"bicubic_plusplus/{_VSX}/official_vsx_inference.py", "official-bicubic_plusplus_2x",
        PictureNetwork(_HD, 2), limit=1),
    _sr(f"bsrgan/{_VSX}/vsx_inference.py", "official-bsrgan_x2", PictureNetwork((3, 128, 128), 2)),
    _sr(f"dipnet/{_VSX}/basicsr_vsx_inference.py", "basicsr-dipnet", PictureNetwork(_HD, 2), limit=1),
    _sr(f"drrn/{_VSX}/vsx_inference.py", "pytorch-drrn",
        PictureNetwork((1, 256, 256)), "scale_4", "tqdm, pillow"),
    _sr(f"ecbsr/{_VSX}/basicsr_vsx_inference.py", "basicsr-ecbsr_rgb_2x", PictureNetwork(_HD, 2), limit=1),
    _sr(f"ecbsr/{_VSX}/official_vsx_inference.py", "official-ecbsr_plain_2x",
        PictureNetwork((1, 1080, 1920), 2), limit=1),
    _sr(f"edsr/{_VSX}/basicsr_vsx_inference.py", "basicsr-edsr_mx2",
        PictureNetwork((3, 768, 1024), 2), limit=1),
    _sr(f"edsr/{_VSX}/official_vsx_inference.py", "official-edsr_x2", PictureNetwork((3, 256, 256), 2)),
    _sr(f"esrgan/{_VSX}/vsx_inference.py", "official-esrgan_x4", PictureNetwork((3, 128, 128), 4), "x4"),
    _sr(f"fsrnet/{_VSX}/vsx_inference.py", "official-fsrnet",
        ShippedNetwork("fsrnet", "official_fsrnet"), "jpg",
        "tqdm, pillow, torch, scikit-image"),
    _sr(f"gpen/{_VSX}/official_vsx_inference.py", "official-gpen",
        ShippedNetwork("gpen", "official_gpen"), "jpg"),
    _sr(f"lesrcnn/{_VSX}/official_vsx_inference.py", "official-lesrcnn_x2",
        ShippedNetwork("lesrcnn", "official_lesrcnn")),
    _sr(f"msrn/{_VSX}/official_vsx_inference.py", "official-msrn", PictureNetwork(_HD, 2), limit=1),
    _sr(f"ncnet/{_VSX}/official_vsx_inference.py", "official-ncnet", PictureNetwork(_HD, 2), limit=1),
    _sr(f"pfsrnet/{_VSX}/official_vsx_inference.py", "official-pfsrnet",
        PictureNetwork((3, 16, 16), 8), "jpg",
        "tqdm, pillow, torchvision"),
    _sr(f"rcan/{_VSX}/basicsr_vsx_inference.py", "basicsr-rcan", PictureNetwork(_HD, 2), limit=1),
    _sr(f"rcan/{_VSX}/official_vsx_inference.py", "official-rcan", PictureNetwork(_HD, 2), limit=1),
    _sr(f"real_esrgan/{_VSX}/official_vsx_inference.py", "official-real_esrgan_x4plus",
        PictureNetwork((3, 128, 128), 4), "x4", "tqdm; a low-resolution folder named X2 or X4"),
    _sr(f"realsr/{_VSX}/official_vsx_inference.py", "official-realsr_DF2K",
        PictureNetwork((3, 128, 128), 4), "x4"),
    _sr("sparnet/build_in/vsx/official_vsx_inference.py", "official-sparnet_light_attn3d",
        ShippedNetwork("sparnet", "official_sparnet"), "png"),
    _sr(f"vdsr/{_VSX}/vsx_inference.py", "official-vdsr", ShippedNetwork("vdsr", "official_vdsr"), "scale_4",
        "tqdm, pillow"),
)  # fmt: skip

_CLS = "cv/classification"
_CLS_FLAGS = (
    "-m",
    "{prefix}",
    "--vdsp_params",
    "{vdsp}",
    "--label_file",
    "{labels}",
    "--input_file",
    "{picture}",
)
_PROF_FLAGS = ("-m", "{prefix}", "--vdsp_params", "{vdsp}", "--iterations", "16", "-b", "2", "-i", "1")
_SQUARE = Classifier((3, 224, 224))

CLASSIFICATION = (
    Case(
        f"{_CLS}/common/vsx/classification.py",
        "classification",
        _SQUARE,
        f"{_CLS}/densenet/build_in/vdsp_params/timm-densenet121-vdsp_params.json",
        arguments=(
            "--model_prefix_path", "{prefix}", "--vdsp_params_info", "{vdsp}", "--label_txt", "{labels}",
            "--file_path", "{work}/imagenet", "--save_dir", "{work}/classes",
        ),
    ),
    Case(
        f"{_CLS}/mobilevit/{_VSX}/infer_mobilevit.py",
        "classification",
        Classifier((3, 256, 256)),
        f"{_CLS}/mobilevit/build_in/vdsp_params/apple-mobilevit_b-vdsp_params.json",
        arguments=_CLS_FLAGS,
    ),
    Case(
        f"{_CLS}/mobilevit/{_VSX}/infer_mobilevit_prof.py",
        "classification",
        Classifier((3, 256, 256)),
        f"{_CLS}/mobilevit/build_in/vdsp_params/apple-mobilevit_b-vdsp_params.json",
        arguments=_PROF_FLAGS,
        needs="easydict, tqdm",
    ),
    Case(
        f"{_CLS}/swin_transformer/build_in/vsx/infer_swin.py",
        "classification",
        _SQUARE,
        f"{_CLS}/swin_transformer/build_in/vdsp_params/microsoft-swin_b-vdsp_params.json",
        arguments=_CLS_FLAGS,
    ),
    Case(
        f"{_CLS}/swin_transformer/build_in/vsx/infer_swin_prof.py",
        "classification",
        _SQUARE,
        f"{_CLS}/swin_transformer/build_in/vdsp_params/microsoft-swin_b-vdsp_params.json",
        arguments=_PROF_FLAGS,
        needs="easydict, tqdm",
    ),
    Case(
        f"{_CLS}/vision_transformer/build_in/vsx/infer_vit.py",
        "classification",
        _SQUARE,
        arguments=("-m", "{prefix}", "--label_file", "{labels}", "--input_file", "{picture}"),
        refused="opf_normalize",
    ),
    Case(
        f"{_CLS}/pplcnet_doc_ori/{_VSX}/vsx_infer.py",
        "classification",
        Classifier((3, 224, 224), 4),
        f"{_CLS}/pplcnet_doc_ori/build_in/vdsp_params/pplcnet_x1_0_doc_ori-vdsp_params-resize.json",
        arguments=(
            "--model_prefix_path", "{prefix}", "--vdsp_params_info", "{vdsp}", "--image_dir", "{work}",
            "--label_file", "{work}/orientation.txt", "--output_file", "{work}/orientation_result.txt",
        ),
    ),
    Case(
        f"{_CLS}/pplcnet_textline_ori/{_VSX}/vsx_infer.py",
        "classification",
        Classifier((3, 80, 160), 2),
        f"{_CLS}/pplcnet_textline_ori/build_in/vdsp_params/pplcnet_x1_0_textline_ori-vdsp_params-resize.json",
        arguments=(
            "--model_prefix_path", "{prefix}", "--vdsp_params_info", "{vdsp}", "--image_dir", "{work}",
            "--label_file", "{work}/orientation.txt", "--output_file", "{work}/orientation_result.txt",
        ),
    ),
)  # fmt: skip

_DET = "cv/detection"


def _detection(script: str, vdsp: str, network: Network, needs: str = "tqdm") -> Case:
    folder = script.split("/")[0]
    path = vdsp if "/" in vdsp else f"{_DET}/{folder}/build_in/vdsp_params/{vdsp}-vdsp_params.json"
    return Case(
        f"{_DET}/{script}",
        "detection",
        network,
        path,
        arguments=(
            "--model_prefix_path", "{prefix}", "--vdsp_params_info", "{vdsp}", "--label_txt", "{labels}",
            "--file_path", "{work}/photos/", "--save_dir", "{work}/boxes",
        ),
        needs=needs,
    )  # fmt: skip


_FUSED = Detector((3, 640, 640))
_MAPS = ((80, 80), (40, 40), (20, 20))

DETECTION = (
    _detection("common/vsx/detection.py",
               f"{_DET}/yolov5/build_in/vdsp_params/ultralytics-yolov5s-vdsp_params.json",
               _FUSED),
    _detection("yolov3/build_in/vsx/yolov3_vsx.py", "ultralytics-yolov3", Detector((3, 416, 416))),
    _detection("yolov4/build_in/vsx/darknet_yolov4_detector.py", "darknet-yolov4", Detector((3, 416, 416))),
    _detection("yolov4/build_in/vsx/tianxiaomo_yolov4_detector.py", "tianxiaomo-yolov4",
               Detector((3, 416, 416))),
    _detection("yolov5/build_in/vsx/yolov5_detection.py", "ultralytics-yolov5s", _FUSED,
               "a --file_path that ends with /"),
    _detection(f"yolov11/{_VSX}/yolov11_vsx.py", "official-yolov11s", _FUSED, "nothing"),
    _detection(f"yolov12/{_VSX}/yolov12_vsx.py", "official-yolov12s", _FUSED),
    _detection("yolov6/build_in/vsx/yolov6_detection.py", "official-yolov6_s",
               RawHeads((3, 640, 640), tuple((1, c, h, w) for h, w in _MAPS for c in (4, 1, 80))),
               "tqdm, torch, torchvision"),
    _detection(f"yolox/{_VSX}/mmyolo_yolox_runstream.py", "mmyolo-yolox_s",
               RawHeads((3, 640, 640), tuple((1, c, h, w) for c in (80, 4, 1) for h, w in _MAPS)),
               "tqdm, torch, torchvision"),
    _detection(f"yolofastv2/{_VSX}/yolofastv2_vsx.py", "official-yolofastv2",
               RawHeads((3, 352, 352), tuple((1, c, s, s) for s in (22, 11) for c in (12, 3, 80))),
               "tqdm, torch, torchvision"),
    _detection(f"fastestdet/{_VSX}/fastestdet_vsx.py", "official-fastestdet",
               RawHeads((3, 352, 352), ((1, 1, 22, 22), (1, 4, 22, 22), (1, 80, 22, 22))),
               "tqdm, torch, torchvision"),
)  # fmt: skip


def _sample(
    script: str, *arguments: str, network: Network = None, needs: str = "nothing", **more: str
) -> Case:
    return Case(
        f"samples/{script}", "samples", network, more.get("vdsp", ""), arguments=arguments, needs=needs,
        refused=more.get("refused", ""), repository="samples",
    )  # fmt: skip


_IN = ("--input_file", "{picture}")
_OUT = ("--output_file", "{work}/sample.png")

SAMPLES = (
    _sample("image_process/image_process.py", *_IN, *_OUT),
    _sample("datatype/image.py", *_IN, *_OUT),
    _sample("datatype/tensor.py", "--input_npz", "{work}/tokens.npz",
            "--output_npz", "{work}/tokens_out.npz"),
    _sample("card_info/card_info.py"),
    _sample("vdsp_op/batch_crop_resize/batch_crop_resize.py", *_IN, "--output_file1", "{work}/1.png",
            "--output_file2", "{work}/2.png"),
    _sample("vdsp_op/copy_make_border/copy_make_border.py", *_IN, *_OUT),
    _sample("vdsp_op/crop/crop.py", *_IN, *_OUT),
    _sample("vdsp_op/cvtcolor/cvtcolor.py", *_IN, *_OUT),
    _sample("vdsp_op/flip/flip.py", *_IN, *_OUT),
    _sample("vdsp_op/resize/resize.py", *_IN, *_OUT),
    _sample("vdsp_op/scale/scale.py", *_IN, "--output_file1", "{work}/1.png",
            "--output_file2", "{work}/2.png"),
    _sample("vdsp_op/warpaffine/warpaffine.py", *_IN, *_OUT),
    _sample("classification/resnet/classification.py", *_CLS_FLAGS, network=_SQUARE,
            vdsp="data/configs/resnet_bgr888.json"),
    _sample("classification/resnet/cls_prof.py", *_PROF_FLAGS, network=_SQUARE,
            vdsp="data/configs/resnet_bgr888.json", needs="easydict"),
    _sample("run_stream_async/run_stream_async.py", *_CLS_FLAGS, network=_SQUARE,
            vdsp="data/configs/resnet_bgr888.json"),
    _sample("video_capture/video_capture.py", "--input_uri", "film.mp4", refused="VideoCapture"),
    _sample("vdsp_op/custom_op/argmax/argmax.py", refused="planar_argmax_op"),
    _sample("run_stream_async/run_stream_async_prof.py", *_PROF_FLAGS, network=_SQUARE,
            vdsp="data/configs/resnet_bgr888.json", needs="easydict"),
)  # fmt: skip

CASES = (*SUPER_RESOLUTION, *CLASSIFICATION, *DETECTION, *SAMPLES)
