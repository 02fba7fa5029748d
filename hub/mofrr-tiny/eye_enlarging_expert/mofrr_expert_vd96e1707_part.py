# The class is in the file at the repository's root: all experts share that one copy.
from . import mofrr_expert_vd96e1707 as _module
WaveFRRExpert = _module.WaveFRRExpert
