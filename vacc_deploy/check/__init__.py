"""Looking before compiling: config files in bulk, a model's operators, calibration against run time."""

from vacc_deploy.check.finding import Finding
from vacc_deploy.check.lint import check_files, expand
from vacc_deploy.check.preflight import preflight

__all__ = ["Finding", "check_files", "expand", "preflight"]
