"""Trains the VDSR demo weights, ``export/weights/vdsr_demo.safetensors``, from pictures that pip installs.

scikit-image ships a few public-domain pictures in its wheel.  All photographs and textures among them
are training data, except `DEMO_PICTURES`, which the demo shows and which only measure the result.

    python tools/train_vdsr.py [--minutes 40] [--seed 0] [--output export/weights/vdsr_demo.safetensors]

The task is luma super-resolution at scale 2: the picture is halved and doubled again by Pillow's
bicubic filter, both times rounded to 8 bits (that is what the network meets when deployed), and the
network restores the Y channel.  Data are flipped, turned and shrunk (scales 0.6 to 1.0).  The network
and the residual objective are those of the paper; Adam with a cosine schedule and gradient clipping
replaces its SGD because minutes, not hours, are available.  What is stored is the exponential moving
average of the weights, rounded to float16.  The number of steps depends on the machine's speed, so
the seed makes the sequence of patches repeatable, not the bytes of the result: give --steps for that.

The shipped weights are the result of 5497 steps, 40 minutes on one core that was shared: luma PSNR over
bicubic at scale 2, astronaut 30.37 -> 33.86 dB (+3.49), coffee 29.26 -> 31.76 dB (+2.49).
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image
from safetensors.numpy import save_file
from torch.nn import functional as F

from vacc_deploy.export.vdsr import VDSR

SCALE = 2
DEMO_PICTURES = ("astronaut.png", "coffee.png")
TRAINING_PICTURES = (
    "brick.png", "camera.png", "chelsea.png", "coins.png", "grass.png", "gravel.png", "horse.png",
    "hubble_deep_field.jpg", "ihc.png", "logo.png", "moon.png", "motorcycle_left.png",
    "motorcycle_right.png", "page.png", "rocket.jpg", "text.png",
)  # fmt: skip
AUGMENTATION_SCALES = (1.0, 0.9, 0.8, 0.7, 0.6)
PATCH = 40  # pixels; the receptive field is 41
PATCHES_PER_STEP = 16
MIN_DETAIL = 1e-5  # mean squared loss of a patch under bicubic; flat patches teach nothing


@dataclass(frozen=True, slots=True)
class Pair:
    """What the network sees and what it should return, both (H, W) uint8 luma."""

    blurred: np.ndarray
    sharp: np.ndarray


def luma(picture: Image.Image) -> np.ndarray:
    """The full-range Y channel, (H, W) uint8."""
    return np.asarray(picture.convert("YCbCr"))[..., 0].copy()


def halve_and_double(picture: Image.Image) -> Image.Image:
    """The picture after losing half its resolution: bicubic down and up again, 8 bits in between."""
    width, height = picture.size
    small = picture.resize((width // SCALE, height // SCALE), Image.Resampling.BICUBIC)
    return small.resize((width, height), Image.Resampling.BICUBIC)


def load_pair(name: str, scale: float = 1.0) -> Pair:
    """One bundled picture, shrunk by `scale` and cut to an even size."""
    with Image.open(Path(skimage.__file__).parent / "data" / name) as file:
        picture = file.convert("RGB")
    if scale != 1.0:
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    picture = picture.crop((0, 0, picture.width // SCALE * SCALE, picture.height // SCALE * SCALE))
    return Pair(luma(halve_and_double(picture)), luma(picture))


class PatchSampler:
    """Draws random patches, each picture and scale in proportion to the square root of its area."""

    def __init__(self, pairs: list[Pair], seed: int) -> None:
        self.pairs = pairs
        self.random = np.random.default_rng(seed)
        area = np.sqrt([pair.sharp.size for pair in pairs])
        self.weights = area / area.sum()

    def _patch(self) -> tuple[np.ndarray, np.ndarray]:
        for _ in range(20):
            pair = self.pairs[self.random.choice(len(self.pairs), p=self.weights)]
            top = self.random.integers(pair.sharp.shape[0] - PATCH + 1)
            left = self.random.integers(pair.sharp.shape[1] - PATCH + 1)
            window = (slice(top, top + PATCH), slice(left, left + PATCH))
            blurred, sharp = pair.blurred[window] / np.float32(255), pair.sharp[window] / np.float32(255)
            if np.mean((blurred - sharp) ** 2) >= MIN_DETAIL:
                break
        turns, mirror = self.random.integers(4), self.random.integers(2)
        views = [np.rot90(view, turns) for view in (blurred, sharp)]
        if mirror:
            views = [np.fliplr(view) for view in views]
        return views[0], views[1]

    def batch(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """`count` patches as two float32 tensors (count, 1, PATCH, PATCH)."""
        blurred, sharp = zip(*(self._patch() for _ in range(count)), strict=True)
        return torch.from_numpy(np.stack(blurred)[:, None]), torch.from_numpy(np.stack(sharp)[:, None])


def psnr_db(first: np.ndarray, second: np.ndarray) -> float:
    """PSNR of two (H, W) pictures on the 0..255 scale, `SCALE` pixels cut from every side."""
    cut = (slice(SCALE, -SCALE), slice(SCALE, -SCALE))
    error = (first[cut].astype(np.float64) - second[cut].astype(np.float64)) ** 2
    return float(10 * np.log10(255.0**2 / error.mean()))


@torch.inference_mode()
def evaluate(network: VDSR) -> dict[str, tuple[float, float]]:
    """Per demo picture: PSNR of bicubic and of the network's rounded output, in dB."""
    scores: dict[str, tuple[float, float]] = {}
    for name in DEMO_PICTURES:
        pair = load_pair(name)
        restored = network(torch.from_numpy(pair.blurred[None, None] / np.float32(255)))[0, 0].numpy()
        picture = np.rint(np.clip(restored * 255, 0, 255))
        scores[name] = (psnr_db(pair.blurred, pair.sharp), psnr_db(picture, pair.sharp))
    return scores


def report(scores: dict[str, tuple[float, float]]) -> str:
    """One line: bicubic, network and gain of every demo picture."""
    parts = [f"{name} {was:.2f} -> {now:.2f} ({now - was:+.2f} dB)" for name, (was, now) in scores.items()]
    return ", ".join(parts)


def as_float16(network: VDSR) -> dict[str, np.ndarray]:
    """The network's weights, rounded to the stored precision."""
    return {key: value.numpy().astype(np.float16) for key, value in network.state_dict().items()}


@torch.no_grad()
def initialise(network: VDSR) -> None:
    """Start near bicubic, with hidden layers that pass their features on.

    Twenty random layers without shortcuts lose the picture on the way, and training stands still for its
    first thousands of steps; an identity plus a little noise trains from the first step.
    """
    torch.nn.init.kaiming_normal_(network.input.weight, nonlinearity="relu")
    torch.nn.init.normal_(network.output.weight, std=1e-2)
    for layer in network.residual_layer:
        weight = layer.conv.weight
        noise = torch.nn.init.kaiming_normal_(torch.empty_like(weight), nonlinearity="relu")
        weight.copy_(torch.nn.init.dirac_(torch.empty_like(weight)) + 0.1 * noise)


def train(minutes: float, steps: int | None, seed: int, output: Path) -> None:
    """Train for `steps` steps, or as many as fit into `minutes`, storing a checkpoint every two minutes."""
    torch.manual_seed(seed)
    network = VDSR()
    initialise(network)
    average = copy.deepcopy(network).eval()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pairs = [load_pair(name, scale) for name in TRAINING_PICTURES for scale in AUGMENTATION_SCALES]
    sampler = PatchSampler(pairs, seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-4, betas=(0.9, 0.99))
    begin = stored = time.monotonic()
    step = 0
    progress = 0.0
    while progress < 1.0:
        blurred, sharp = sampler.batch(PATCHES_PER_STEP)
        warm_up = min(1.0, (step + 1) / 50)
        for group in optimizer.param_groups:
            group["lr"] = 5e-4 * warm_up * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * progress)))
        with torch.autocast("cpu", torch.bfloat16):
            restored = network(blurred.contiguous(memory_format=torch.channels_last))
        loss = F.l1_loss(restored.float(), sharp)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        optimizer.step()
        step += 1
        decay = min(0.995, step / (step + 10))
        with torch.no_grad():
            for mean, value in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)
        now = time.monotonic()
        progress = step / steps if steps else (now - begin) / (minutes * 60)
        if step % 50 == 0:
            print(f"step {step}  {now - begin:.0f} s  L1 {loss.item() * 255:.3f}", flush=True)
        if now - stored > 120 or progress >= 1.0:
            stored = now
            output.parent.mkdir(parents=True, exist_ok=True)
            save_file(as_float16(average), output)
            print(f"step {step}  {now - begin:.0f} s  {report(evaluate(average))}", flush=True)
    weights = {key: torch.from_numpy(value).float() for key, value in as_float16(average).items()}
    average.load_state_dict(weights)
    print(f"stored {output} after {step} steps: {report(evaluate(average))}")


def main() -> int:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--steps", type=int, default=None, help="fixed number of steps instead of a time")
    parser.add_argument("--seed", type=int, default=0)
    default = Path(__file__).resolve().parent.parent / "export" / "weights" / "vdsr_demo.safetensors"
    parser.add_argument("--output", type=Path, default=default)
    arguments = parser.parse_args()
    train(arguments.minutes, arguments.steps, arguments.seed, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
