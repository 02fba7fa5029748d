# The class is in the file at the repository's root: all experts share that one copy.
from . import bpfre_retoucher_vaa56ba81 as _module
BlemishRetoucher = _module.BlemishRetoucher
