# The class is in the file at the repository's root: all experts share that one copy.
from . import mofrr_expert_v198fa0be as _module
WaveFRRExpert = _module.WaveFRRExpert
