"""``import vaststreamx`` in a process that a script started: the emulation takes this module's place."""

from vacc_deploy.vsx.import_name import emulate_as_child

emulate_as_child()
