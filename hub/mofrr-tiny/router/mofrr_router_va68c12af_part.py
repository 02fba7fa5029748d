# The class is in the file at the repository's root: all experts share that one copy.
from . import mofrr_router_va68c12af as _module
RetouchRouter = _module.RetouchRouter
