"""Copying channels from anywhere to anywhere, pixel by pixel, in the longest pieces that exist.

Concatenation, slicing, channel shuffles and general pixel shuffles differ only in where each channel of an
output block comes from. That list, cut into runs of neighbouring channels, is what is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, load, store
from vacc_deploy.lowering.kernels.plane_rows import FlatPlane


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one output channel comes from: channel `channel` of operand `operand`."""

    operand: int
    channel: int


@dataclass(frozen=True, slots=True)
class ChannelRun:
    """Neighbouring channels of one block of one operand that stay neighbours.

    Attributes:
        operand: Which operand.
        block: Channel block of the operand.
        lane: First channel within that block.
        output_lane: First channel within the output block.
        length: How many.
    """

    operand: int
    block: int
    lane: int
    output_lane: int
    length: int

    def chunks(self) -> list[tuple[int, int, int]]:
        """(lane, output lane, elements) of the vectors that copy the run; powers of two."""
        pieces, done = [], 0
        while done < self.length:
            size = 1 << ((self.length - done).bit_length() - 1)
            pieces.append((self.lane + done, self.output_lane + done, size))
            done += size
        return pieces


def runs_of(origins: Sequence[Origin], blocks: Sequence[int]) -> list[ChannelRun]:
    """Cuts the origins of one output block's channels into runs.

    Args:
        origins: One per channel, in output order.
        blocks: Channels per block of every operand.
    """
    runs: list[ChannelRun] = []
    for output_lane, origin in enumerate(origins):
        block, lane = divmod(origin.channel, blocks[origin.operand])
        last = runs[-1] if runs else None
        if (
            last is not None
            and (last.operand, last.block) == (origin.operand, block)
            and last.lane + last.length == lane
        ):
            runs[-1] = ChannelRun(last.operand, last.block, last.lane, last.output_lane, last.length + 1)
        else:
            runs.append(ChannelRun(origin.operand, block, lane, output_lane, 1))
    return runs


def copy_runs(
    runs: Sequence[ChannelRun], sources: Sequence[tuple[Buffer, Expr]], output: FlatPlane, at: Expr
) -> None:
    """Writes one pixel of one output block.

    Args:
        runs: What to copy; channels that no run covers get the fill value.
        sources: For every run, the operand's buffer and the offset of lane 0 of its block and pixel.
        output: The plane written to.
        at: Offset of the pixel.
    """
    for run, (buffer, source_at) in zip(runs, sources, strict=True):
        for lane, output_lane, size in run.chunks():
            store(output.buffer, (at + output_lane,), load(buffer, (source_at + lane,), size))
    covered = sum(run.length for run in runs)
    plane = output.plane
    rest = ChannelRun(0, 0, 0, covered, plane.block - covered)
    for _, output_lane, size in rest.chunks():
        store(output.buffer, (at + output_lane,), output.filling(size))
