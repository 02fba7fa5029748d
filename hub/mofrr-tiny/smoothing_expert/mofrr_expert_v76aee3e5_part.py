# The class is in the file at the repository's root: all experts share that one copy.
from . import mofrr_expert_v76aee3e5 as _module
WaveFRRExpert = _module.WaveFRRExpert
