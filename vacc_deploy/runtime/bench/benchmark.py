"""One process's share of a benchmark: load, warm up, drive the instances."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from vacc_deploy.data.datalist import read_datalist
from vacc_deploy.runtime.bench.budget import Budget
from vacc_deploy.runtime.bench.instance import drive
from vacc_deploy.runtime.bench.settings import BenchSettings
from vacc_deploy.runtime.bench.shapes import check_shapes, picture_size
from vacc_deploy.runtime.bench.source import (
    DatalistSource,
    RepeatedRequest,
    Source,
    made_up_picture,
    made_up_tensors,
)
from vacc_deploy.runtime.instances import load_models
from vacc_deploy.runtime.latency import Span
from vacc_deploy.runtime.output_file import write_outputs
from vacc_deploy.runtime.stream import RunStream, StreamResult
from vacc_deploy.runtime.vdsp import VdspOp

if TYPE_CHECKING:
    from vacc_deploy.artifact import Manifest


class Benchmark:
    """The instances of one process with everything loaded, before and while they work.

    Args:
        settings: What to do.

    Raises:
        VdeployError: The artifact, a value of the vdsp operator, the datalist or a shape is wrong.
    """

    def __init__(self, settings: BenchSettings) -> None:
        self.settings = settings
        models = load_models(settings.prefix, settings.instances, settings.threads_per_instance)
        self.manifest: Manifest = models[0].manifest
        vdsp_op = VdspOp.from_params(settings.vdsp) if settings.vdsp is not None else None
        pictures = vdsp_op is not None and vdsp_op.op_type.is_fusion
        if settings.shapes is not None:
            check_shapes(settings.shapes, self.manifest, pictures, settings.prefix)
        self.source: Source
        self.requests = settings.iterations or None
        if settings.datalist is not None:
            files = read_datalist(settings.datalist)
            datalist = DatalistSource(files, settings.batch_size, pictures)
            self.source = datalist
            self.requests = min(self.requests or datalist.requests, datalist.requests)
        elif pictures:
            size = picture_size(settings.shapes, self.manifest)
            self.source = RepeatedRequest(made_up_picture(*size), settings.batch_size)
        else:
            self.source = RepeatedRequest(made_up_tensors(self.manifest.inputs), settings.batch_size)
        self._streams = [
            RunStream(model, vdsp_op, queue_size=max(1, settings.queue_size)) for model in models
        ]

    def warm_up(self) -> None:
        """Run every instance a few times, so that pages, caches and thread pools are in place."""
        for stream in self._streams:
            for _ in range(self.settings.warmup):
                stream.run(self.source.request(0))

    def measure(self, budget: Budget) -> list[Span]:
        """Drive all instances until the budget is used up; one span per instance that got any request.

        Raises:
            VdeployError: A request failed, or an output could not be written.
        """
        sink = self._write_outputs if self.settings.path_output else None
        wait_for_each = self.settings.mode == "latency"
        budget.start()
        with ThreadPoolExecutor(len(self._streams), thread_name_prefix="bench") as drivers:
            futures = [
                drivers.submit(drive, stream, self.source, budget, sink, wait_for_each)
                for stream in self._streams
            ]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:  # after an error or an interruption the other instances need not go on
                budget.stop()
        return [span for future in futures if (span := future.result()).durations_ns]

    def close(self) -> None:
        """End the streams' threads."""
        for stream in self._streams:
            stream.close()

    def _write_outputs(self, number: int, result: StreamResult) -> None:
        folder = self.settings.path_output
        assert folder is not None
        for offset, outputs in enumerate(result.outputs):
            index = number * self.settings.batch_size + offset
            write_outputs(folder / f"output_{index:06d}.npz", outputs)
