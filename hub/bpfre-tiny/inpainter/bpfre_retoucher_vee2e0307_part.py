# The class is in the file at the repository's root: all experts share that one copy.
from . import bpfre_retoucher_vee2e0307 as _module
BlemishRetoucher = _module.BlemishRetoucher
