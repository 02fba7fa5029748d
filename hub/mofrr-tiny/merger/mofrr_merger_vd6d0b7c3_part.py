# The class is in the file at the repository's root: all experts share that one copy.
from . import mofrr_merger_vd6d0b7c3 as _module
ExpertMerger = _module.ExpertMerger
