"""What a written file says of itself: a label, a watermark, metadata and a signed manifest.

`writing` is the one door through which pictures and videos of swapped faces leave, and `reading`
tells which marks a file bears. One file for each layer: `label`, `watermark`, `xmp` (metadata) and
`c2pa` (manifest); who signs it is in `signer`.
"""

from .c2pa import Origin, sidecar_of
from .label import DISCLOSURE, LABEL, draw_label
from .reading import Provenance, read_provenance, read_watermark, training_refused
from .signer import Signer, local_root, local_signer
from .watermark import Watermark, WatermarkConfig, WatermarkFound, new_mark_id
from .writing import MarkedVideoWriter, finish_unsigned, save_figure, write_gif, write_picture

__all__ = [
    "DISCLOSURE",
    "LABEL",
    "MarkedVideoWriter",
    "Origin",
    "Provenance",
    "Signer",
    "Watermark",
    "WatermarkConfig",
    "WatermarkFound",
    "draw_label",
    "finish_unsigned",
    "local_root",
    "local_signer",
    "new_mark_id",
    "read_provenance",
    "read_watermark",
    "save_figure",
    "sidecar_of",
    "training_refused",
    "write_gif",
    "write_picture",
]
