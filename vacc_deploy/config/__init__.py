"""The vendor's configuration files: the build YAML and the vdsp JSON."""

from vacc_deploy.config.build import BuildConfig, BuildFile, build_config, load_build_config
from vacc_deploy.config.dataset import DatasetConfig
from vacc_deploy.config.frontend import FrontendConfig
from vacc_deploy.config.graph import ExtraOp
from vacc_deploy.config.process_ops import ProcessOp
from vacc_deploy.config.quantize import QuantizeConfig
from vacc_deploy.config.remark import Remark
from vacc_deploy.config.vdsp import VdspParams, load_vdsp_operator, load_vdsp_params

__all__ = [
    "BuildConfig",
    "BuildFile",
    "DatasetConfig",
    "ExtraOp",
    "FrontendConfig",
    "ProcessOp",
    "QuantizeConfig",
    "Remark",
    "VdspParams",
    "build_config",
    "load_build_config",
    "load_vdsp_operator",
    "load_vdsp_params",
]
