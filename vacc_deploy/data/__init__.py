"""Calibration and evaluation data: pictures and npz files in, NCHW float32 arrays out."""

from vacc_deploy.data.dataset import Dataset, open_dataset
from vacc_deploy.data.image_dataset import ImageDataset
from vacc_deploy.data.npz_dataset import NpzDataset
from vacc_deploy.data.process_ops import apply_process_ops

__all__ = ["Dataset", "ImageDataset", "NpzDataset", "apply_process_ops", "open_dataset"]
