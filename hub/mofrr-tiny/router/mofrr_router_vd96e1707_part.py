# The class is in the file at the repository's root: all experts share that one copy.
from . import mofrr_router_vd96e1707 as _module
RetouchRouter = _module.RetouchRouter
