# The class is in the file at the repository's root: all experts share that one copy.
from . import mofrr_router_vb6e8a278 as _module
RetouchRouter = _module.RetouchRouter
