"""What only the teaching notebooks need; nothing else in the package imports it.

`widgets` has sliders and questions, `figures` draws. The rest belongs to single lessons:
`shuffling` to pixel shuffle, `fidelity` to PSNR and SSIM, `attacks` to marks that must survive,
`swap_detector` to telling swapped faces from filmed ones, `pretrained` to what the pretrained start
knows.
"""

from . import attacks, fidelity, figures, pretrained, shuffling, swap_detector, widgets

__all__ = ["attacks", "fidelity", "figures", "pretrained", "shuffling", "swap_detector", "widgets"]
